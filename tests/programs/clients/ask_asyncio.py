"""asyncio: aiohttp, its WebSocket, streams, names, errors."""
import asyncio, aiohttp, ssl, socket
async def main():
    context = ssl.create_default_context(cafile="ca.crt")
    async with aiohttp.ClientSession() as session:
        async def ask(n):
            async with session.get(f"https://host{n}.example/p{n}", ssl=context) as answer:
                return answer.status, await answer.text()
        for status, text in await asyncio.gather(*(ask(n) for n in range(1, 11))): print(status, text, end="")
        for url in ("http://nosuch.example/", "http://10.99.7.1:9/"):
            try: await session.get(url)
            except Exception as error: print(type(error).__name__, error)
        async with session.ws_connect("ws://10.99.7.1:8082/path") as ws:
            print(await ws.receive_str()); await ws.send_str("x"); print(await ws.receive_str())
            await ws.send_bytes(b"b" * 200000); print(len(await ws.receive_bytes()))
    reader, writer = await asyncio.open_connection("echo-server", 7000)
    writer.write(b"hello" * 100000); writer.write_eof(); print(len(await reader.read()))
    print(writer.get_extra_info("peername"), writer.get_extra_info("sockname")[0]); writer.close()
    loop = asyncio.get_running_loop()
    print(sorted({it[4][0] for it in await loop.getaddrinfo("both", 80, type=socket.SOCK_STREAM)}))
    try: await asyncio.wait_for(asyncio.open_connection("10.99.7.1", 9), 5)
    except OSError as error: print(type(error).__name__, error)
    try: await asyncio.open_connection("both", 9)
    except OSError as error: print(type(error).__name__, error)
    try: await asyncio.open_connection("none", 9)
    except OSError as error: print(type(error).__name__, error)
asyncio.run(main())
