"""Hears and says urgent bytes (MSG_OOB), as the first line of a connection asks. Listens on 10.99.7.1:7003."""
import array, fcntl, select, socket, sys, threading

def at_mark(s):
    told = array.array("i", [0]); fcntl.ioctl(s, 0x8905, told); return told[0]

def hear(s, inline):
    if inline: s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    s.sendall(b"go\n")
    end = select.poll(); end.register(s, select.POLLRDHUP); end.poll(5000)
    told = []
    if not inline:
        try: told.append(("urgent", s.recv(1, socket.MSG_OOB)))
        except OSError as e: told.append(("urgent", e.errno))
    while True:
        mark = at_mark(s); got = s.recv(100)
        told.append((mark, got))
        if not got: break
    s.sendall(repr(told).encode() + b"\n")

def serve(s):
    with s:
        ask = s.recv(100)
        if ask == b"hear\n": hear(s, False)
        if ask == b"hear inline\n": hear(s, True)
        if ask == b"say\n": s.sendall(b"abc"); s.send(b"!", socket.MSG_OOB); s.sendall(b"def")
        if ask == b"say twice\n":
            s.send(b"1", socket.MSG_OOB); s.recv(1); s.send(b"xy2", socket.MSG_OOB); s.recv(1); s.sendall(b"end")
        if ask.startswith(b"echo"):
            while (got := s.recv(100)): s.sendall(got)

server = socket.create_server(("10.99.7.1", 7003))
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
