"""What grpc.cjs is, in Python."""
import concurrent.futures
import sys

import grpc

port, label = sys.argv[1], sys.argv[2]


def say(text):
    print(text, flush=True)


def unary(request, context):
    if request == b"fail":
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{label} says no")
    context.set_trailing_metadata((("x-served-by", label),))
    return f"{label} {len(request) if len(request) > 100 else request.decode()}".encode()


def count(request, context):
    for at in range(int(request)):
        yield f"{label} {at}".encode()


def total(requests, context):
    return f"{label} {sum(int(it) for it in requests)}".encode()


def talk(requests, context):
    for it in requests:
        yield f"{label} {it.decode()}".encode()


def slow(request, context):
    import threading
    gone = threading.Event()
    context.add_callback(gone.set)
    yield label.encode()
    gone.wait()
    say("cancelled")


handlers = grpc.method_handlers_generic_handler("echo.Echo", {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Sum": grpc.stream_unary_rpc_method_handler(total),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Slow": grpc.unary_stream_rpc_method_handler(slow),
})
server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 64 << 20)])
server.add_generic_rpc_handlers((handlers,))
server.add_insecure_port(f"0.0.0.0:{port}")
server.start()
say("listening")
server.wait_for_termination()
