"""Python's socket module against the sandbox's servers: every family and kind, options, names, what errors say."""
import transcript, socket, errno, os, select, time, struct, selectors, ssl
def t(name, f):
    try: print(name, f())
    except Exception as e: print(name, type(e).__name__, getattr(e, "errno", None), str(e)[:120])
A = "10.99.7.1"
def conn(fam=socket.AF_INET, typ=socket.SOCK_STREAM, to=(A, 7000), **k):
    s = socket.socket(fam, typ)
    for x, v in k.items(): getattr(s, x)(v)
    s.connect(to); return s
t("connect", lambda: conn().getpeername())
t("refused", lambda: conn(to=(A, 9)))
t("six refused", lambda: conn(socket.AF_INET6, to=("::1", 9)))
t("six", lambda: conn(socket.AF_INET6, to=("::1", 80)).getpeername())
t("mapped", lambda: conn(socket.AF_INET6, to=("::ffff:" + A, 7000)).getpeername())
t("family mismatch", lambda: conn(socket.AF_INET, to=("::1", 80)))
t("name", lambda: conn(to=("echo-server", 7000)).getpeername())
t("no name", lambda: conn(to=("nosuch", 7000)))
t("port 0", lambda: conn(to=(A, 0)))
t("any", lambda: conn(to=("0.0.0.0", 80)).getpeername()[1])
t("v6only mapped", lambda: (lambda s: (s.setsockopt(41, 26, 1), s.connect(("::ffff:" + A, 7000))))(socket.socket(socket.AF_INET6)))
def blocking_timeout():
    s = conn(); s.settimeout(0.2); return s.recv(1)
t("recv timeout", blocking_timeout)
def nonblocking():
    s = socket.socket(); s.setblocking(False); r = s.connect_ex((A, 7000)); w = select.select([], [s], [], 5)[1]; return errno.errorcode[r], len(w), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), s.connect_ex((A, 7000)), s.getpeername()
t("nonblocking", nonblocking)
def nonblocking_refused():
    s = socket.socket(); s.setblocking(False); r = s.connect_ex((A, 9)); p = select.poll(); p.register(s, select.POLLOUT | select.POLLIN); ev = p.poll(5000)[0][1]; return errno.errorcode[r], bool(ev & select.POLLERR), errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
t("nonblocking refused", nonblocking_refused)
def again():
    s = socket.socket()
    try: s.connect((A, 9))
    except OSError as e: a = e.errno
    s2 = s.connect_ex((A, 7000)); return a, s2
t("connect after refusal", again)
t("connect twice", lambda: (lambda s: s.connect((A, 7000)))(conn()))
t("send before", lambda: socket.socket().send(b"x"))
t("recv before", lambda: socket.socket().recv(1))
t("peer before", lambda: socket.socket().getpeername())
t("shutdown before", lambda: socket.socket().shutdown(2))
def half():
    s = conn(); s.sendall(b"abc"); s.shutdown(1); d = b""
    while (x := s.recv(10)): d += x
    return d, s.recv(1)
t("half close", half)
def epipe():
    s = conn(); s.shutdown(1); return s.send(b"x")
t("send after shutdown", epipe)
def opts():
    s = conn(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1); s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return s.getsockopt(6, 1), s.getsockopt(1, 9) , s.getsockopt(1, 8), s.getsockopt(1, 3), s.getsockopt(1, 38), s.getsockopt(1, 39)
t("options", opts)
def oob():
    s = conn(); s.send(b"n"); s.send(b"!", socket.MSG_OOB); time.sleep(.1); return s.recv(10)
t("oob", oob)
def peek():
    s = conn(); s.sendall(b"hello"); time.sleep(.2); return s.recv(3, socket.MSG_PEEK), s.recv(10), 
t("peek", peek)
def many():
    ss = [conn() for _ in range(100)]
    for i, s in enumerate(ss): s.sendall(b"%d" % i)
    return all(s.recv(10) == b"%d" % i for i, s in enumerate(ss))
t("hundred", many)
def sendmsg():
    s = conn(); s.sendmsg([b"a", b"b" * 10]); b = bytearray(5), bytearray(6); n = s.recvmsg_into(b); return n[0], b
t("sendmsg", sendmsg)
def sendfile():
    s = conn(); n = s.sendfile(open("/proc/version", "rb")) if False else os.sendfile(s.fileno(), os.open("/bin/true", os.O_RDONLY), 0, 1000); d = b""
    while len(d) < n: d += s.recv(1000)
    return n, d[:4]
t("sendfile", sendfile)
def makefile():
    f = conn().makefile("rwb"); f.write(b"line\n"); f.flush(); return f.readline()
t("makefile", makefile)
def udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); q = b"\0\1\1\0\0\1\0\0\0\0\0\0\3two\7sandbox\5local\0\0\1\0\1"; s.sendto(q, (A, 53)); d, a = s.recvfrom(500); s.connect((A, 53)); s.send(q); return len(d), a, len(s.recv(500)), s.getpeername(), s.getsockname()[0]
t("udp", udp)
def udp_refused():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); s.connect((A, 9)); s.send(b"x"); time.sleep(.2)
    try: s.send(b"y")
    except OSError as e: return e.errno
    time.sleep(.2); return s.recv(1)
t("udp refused", udp_refused)
def udp_bound():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((A, 0)); s.settimeout(2); s.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\3two\7sandbox\5local\0\0\1\0\1", (A, 53)); return len(s.recv(500)), s.getsockname()[0]
t("udp bound to the target's address", udp_bound)
t("udp too long", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 70000, (A, 53)))
t("bind to nobody's", lambda: socket.socket().bind(("203.0.113.9", 0)))
def bound():
    s = socket.socket(); s.bind((A, 0)); s.connect((A, 7000)); return s.getsockname()[0]
t("bound", bound)
for n in ("two", "both", "six.sandbox.local", "nosuch", "localhost", "10.99.7.1", "::1", "", "a..b", "x" * 70 + ".com", "10.99.7", "0x7f.1", "ip6-localhost"):
    t("getaddrinfo " + n[:20], lambda: sorted({x[4][0] for x in socket.getaddrinfo(n, 80, type=1)}))
    t("gethostbyname_ex " + n[:20], lambda: socket.gethostbyname_ex(n)[0::2])
for a in ("10.99.7.1", "10.99.7.2", "127.0.0.1", "::1", "203.0.113.9"):
    t("gethostbyaddr " + a, lambda: socket.gethostbyaddr(a)[0]); t("getnameinfo " + a, lambda: socket.getnameinfo((a, 80), 0)); t("fqdn", lambda: socket.getfqdn(a))
t("hostname", lambda: (socket.gethostname(), socket.getfqdn()))
t("create_connection both", lambda: socket.create_connection(("both", 80), 3).getpeername()[0] in ("::1", A))
t("create_connection refused", lambda: socket.create_connection(("both", 9), 3))
t("ssl", lambda: ssl.create_default_context().wrap_socket(conn(to=(A, 80)), server_hostname="x"))
t("unix", lambda: socket.socket(socket.AF_UNIX).connect("/nothing"))
t("dgram pair", lambda: [x.close() for x in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)])
def local_server():
    l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); s, p = l.accept(); c.sendall(b"own"); return s.recv(10), p == c.getsockname(), c.getpeername() == l.getsockname()
t("own server", local_server)
t("link local", lambda: conn(socket.AF_INET6, to=("fe80::1", 80, 0, 0)))
t("multicast", lambda: conn(to=("224.0.0.1", 80)))
t("broadcast", lambda: conn(to=("255.255.255.255", 80)))
