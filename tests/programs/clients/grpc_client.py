"""What grpc.cjs is, in Python."""
import concurrent.futures
import json
import queue
import sys

import grpc

address, users = sys.argv[1], sys.argv[2:]
channel = grpc.insecure_channel(address)


def told(call):
    try:
        return call()
    except grpc.RpcError as error:
        return f"error {error.code().value[0]} {error.details()}"


def unary(user, name, message):
    def call():
        answer, rpc = channel.unary_unary(f"/echo.Echo/{name}").with_call(message, metadata=metadata(user))
        return f"{answer.decode()} by {dict(rpc.trailing_metadata()).get('x-served-by', '')}"
    return told(call)


def metadata(user):
    return [] if user == "-" else [("x-user", user)]


def count(user):
    def call():
        got = list(channel.unary_stream("/echo.Echo/Count")(b"1000", metadata=metadata(user)))
        return f"{len(got)} {got[-1].decode()}"
    return told(call)


def total(user):
    messages = (str(it).encode() for it in range(1000))
    return told(lambda: channel.stream_unary("/echo.Echo/Sum")(messages, metadata=metadata(user)).decode())


def talk(user):
    def call():
        said = queue.SimpleQueue()
        said.put(b"0")
        turns, last = 0, b""
        for last in channel.stream_stream("/echo.Echo/Talk")(iter(said.get, None), metadata=metadata(user)):
            turns += 1
            said.put(str(turns).encode() if turns < 100 else None)
        return f"{turns} turns, {last.decode()}"
    return told(call)


def slow(user):
    """A call that is taken back when its first message has come."""
    call = channel.unary_stream("/echo.Echo/Slow")(b"x", metadata=metadata(user))
    first = next(call).decode()
    call.cancel()
    return first


def everything(user):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = {
            "unary": pool.submit(unary, user, "Unary", b"hello"),
            "fail": pool.submit(unary, user, "Unary", b"fail"),
            "big": pool.submit(unary, user, "Unary", b"x" * (3 << 20)),
            "count": pool.submit(count, user),
            "sum": pool.submit(total, user),
            "talk": pool.submit(talk, user),
            "slow": pool.submit(slow, user),
        }
        return {name: call.result() for name, call in calls.items()}


with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(json.dumps(list(pool.map(everything, users))))
