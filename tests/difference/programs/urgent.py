"""Urgent bytes to and from urgent_server.py. Stands behind transcript.py."""
import array, fcntl, os, select, signal, socket

def ask(line, before=lambda s: None):
    s = socket.socket(); s.settimeout(2); before(s); s.connect(("10.99.7.1", 7003)); s.sendall(line); return s
def at_mark(s):
    told = array.array("i", [0]); fcntl.ioctl(s, 0x8905, told); return told[0]
def rest(s):
    told = []
    while True:
        mark = at_mark(s); got = s.recv(100); told.append((mark, got))
        if not got: return told
def hear(line, *pieces):
    s = ask(line); assert s.recv(3) == b"go\n"
    for piece, flags in pieces: s.send(piece, flags)
    s.shutdown(socket.SHUT_WR); return s.makefile().read()
OOB = socket.MSG_OOB
for line in (b"hear\n", b"hear inline\n"):
    say("one %s" % line, hear, line, (b"abc", 0), (b"!", OOB), (b"def", 0))
    say("last %s" % line, hear, line, (b"abc", 0), (b"!", OOB))
    say("first %s" % line, hear, line, (b"!", OOB), (b"def", 0))
    say("of many %s" % line, hear, line, (b"abc!", OOB), (b"def", 0))
    say("alone %s" % line, hear, line, (b"!", OOB))
    say("much %s" % line, hear, line, (b"x" * 10, 0), (b"!", OOB), (b"y" * 90, 0))
def saying(before=lambda s: None):
    s = ask(b"say\n", before); end = select.poll(); end.register(s, select.POLLRDHUP); end.poll(5000); return s
say("recv oob", lambda: saying().recv(1, OOB))
def both():
    s = saying(); return s.recv(1, OOB), rest(s)
say("oob, then the rest", both)
say("the rest", lambda: rest(saying()))
def inline(s): s.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
say("inline", lambda: rest(saying(inline)))
say("inline oob", lambda: saying(inline).recv(1, OOB))
say("peek", lambda: (lambda s: (s.recv(1, OOB | socket.MSG_PEEK), s.recv(1, OOB)))(saying()))
say("select", lambda: (lambda s: [len(it) for it in select.select([s], [s], [s], 1)])(saying()))
def polled():
    s = saying(); p = select.poll(); p.register(s, 0x3fff); first = p.poll(1000); s.recv(1, OOB); s.recv(3); return first[0][1], p.poll(0)[0][1]
say("poll", polled)
def signalled():
    told = []; signal.signal(signal.SIGURG, lambda *_: told.append("SIGURG"))
    s = saying(lambda s: fcntl.fcntl(s, fcntl.F_SETOWN, os.getpid())); signal.signal(signal.SIGURG, signal.SIG_IGN); return told, s.recv(1, OOB)
say("signal", signalled)
def twice():
    s = ask(b"say twice\n"); s.settimeout(None); told = []
    for _ in range(2):
        p = select.poll(); p.register(s, select.POLLPRI); p.poll(2000); told.append(s.recv(1, OOB)); s.send(b"+")
    return told, b"".join(got for _, got in rest(s))
say("twice", twice)
def none():
    s = ask(b"echo\n"); s.send(b"x"); s.setblocking(False)
    return s.recv(1, OOB)
say("none", none)
