"""A crowd of HTTP clients in one process. crowd.py ADDRESS together N: N connections that all stand at once, then a request on each;
in_a_row N: N connections one after the other; each prints how often which answer came."""
import asyncio
import collections
import sys

address, how, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
REQUEST = b"GET /crowd HTTP/1.1\r\nHost: x\r\n%s\r\n" % b"".join(it.encode() + b"\r\n" for it in sys.argv[4:])


async def connect():
    return await asyncio.wait_for(asyncio.open_connection(address, 80), 60)


async def ask(reader, writer):
    writer.write(REQUEST)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    fields = head.lower().split(b"\r\n")
    length = next(int(it.split(b":")[1]) for it in fields if it.startswith(b"content-length"))
    body = await reader.readexactly(length)
    writer.close()
    return "local" if b'"by": "local"' in body else "target"


async def attempt(work):
    try:
        return await work
    except Exception as error:
        return type(error).__name__


async def together():
    pairs = []
    for start in range(0, count, 100):  # a listener's queue is not endless
        pairs += await asyncio.gather(*(connect() for _ in range(min(100, count - start))))
    return await asyncio.gather(*(attempt(ask(*pair)) for pair in pairs))


async def one():
    return await ask(*await connect())


async def in_a_row():
    return [await attempt(one()) for _ in range(count)]


answers = collections.Counter(asyncio.run({"together": together, "in_a_row": in_a_row}[how]()))
print(" ".join(f"{name}={number}" for name, number in sorted(answers.items())))
