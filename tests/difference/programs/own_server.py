"""A program and its own server, by every name that the program has. Stands behind transcript.py."""
import errno, socket, threading

HOST = socket.gethostbyname(socket.gethostname())

def serve(at, port, family=socket.AF_INET):
    server = socket.socket(family); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((at, port)); server.listen()
    def answer():
        while True:
            try: conn, peer = server.accept()
            except OSError: return
            try:
                conn.sendall(repr((peer[0], conn.getpeername()[0], conn.getsockname()[:2])).encode()); conn.shutdown(socket.SHUT_WR)
                conn.recv(10)
            except OSError: pass
            conn.close()
    threading.Thread(target=answer, daemon=True).start()
    return server
def meet(to, port, is_blocking=True):
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET); s.settimeout(None if is_blocking else 5)
    s.connect((to, port)); told = s.makefile().read()
    same = s.getsockname()[1] != port
    return told, s.getpeername()[:2], s.getsockname()[0], same
say("host", lambda: HOST)
any4 = serve("0.0.0.0", 8093)
for to in (HOST, "127.0.0.1", "127.0.0.2"):
    say("any at %s" % to, meet, to, 8093); say("any at %s, not blocking" % to, meet, to, 8093, False)
any6 = serve("::", 8094, socket.AF_INET6)
for to in (HOST, "::ffff:" + HOST, "::1"): say("both families at %s" % to, meet, to, 8094)
loopback = serve("127.0.0.1", 8095)
for to in (HOST, "127.0.0.1"): say("loopback at %s" % to, meet, to, 8095)
own = serve(HOST, 8096)
say("own address at %s" % HOST, meet, HOST, 8096)
def bound():
    s = socket.socket(); s.bind((HOST, 0)); s.connect((HOST, 8093)); return s.makefile().read(), s.getsockname()[0]
say("from its own address", bound)
def reset():
    s = socket.socket(); s.connect((HOST, 8093)); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"); s.close()
    return meet(HOST, 8093)
say("after a reset", reset)
any4.shutdown(socket.SHUT_RDWR); any4.close()
say("closed", meet, HOST, 8093)
