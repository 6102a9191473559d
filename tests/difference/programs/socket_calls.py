"""Socket calls beyond the everyday: halves, resets, options, binding, families. Stands behind transcript.py."""
import ctypes, errno, fcntl, os, select, signal, socket, struct, sys, threading, time

A, LO = "10.99.7.1", "127.0.0.1"
libc = ctypes.CDLL(None, use_errno=True)
def name(e): return errno.errorcode.get(e, e)
def tcp(peer=(A, 7000), family=socket.AF_INET): 
    s = socket.socket(family); s.settimeout(5); s.connect(peer); return s
def unspec(s):
    r = libc.connect(s.fileno(), struct.pack("H14x", 0), 16); return name(ctypes.get_errno()) if r else 0
def opts(s):
    told = {}
    for level, names in ((socket.SOL_SOCKET, "SO_TYPE SO_DOMAIN SO_PROTOCOL SO_ERROR SO_ACCEPTCONN SO_KEEPALIVE SO_LINGER SO_OOBINLINE SO_BROADCAST SO_REUSEADDR SO_REUSEPORT SO_MARK SO_BINDTODEVICE".split()), (6, "TCP_NODELAY TCP_CORK TCP_KEEPIDLE TCP_USER_TIMEOUT TCP_DEFER_ACCEPT TCP_QUICKACK".split()), (0, "IP_TOS IP_TTL".split())):
        for n in names:
            k = getattr(socket, n, None)
            if k is None: continue
            try: told[n] = s.getsockopt(level, k)
            except OSError as e: told[n] = name(e.errno)
    return told
def info(s): return s.getsockopt(6, socket.TCP_INFO, 1)[0]
say("opts fresh", lambda: opts(socket.socket()))
say("opts connected", lambda: opts(tcp()))
say("opts six", lambda: opts(tcp(("::1", 80), socket.AF_INET6)))
say("opts mapped", lambda: opts(tcp(("::ffff:" + A, 7000), socket.AF_INET6)))
say("info", lambda: info(tcp()))
def closing():
    s = tcp(); r = [info(s)]; s.shutdown(socket.SHUT_WR); time.sleep(0.1); r.append(info(s)); s.recv(1); r.append(info(s)); return r
say("info closing", closing)
def dissolve():
    s = tcp(); r = [unspec(s)]
    for f in (s.getpeername, lambda: s.getsockname()[0], lambda: s.send(b"x"), lambda: s.recv(1)):
        try: r.append(f())
        except OSError as e: r.append(name(e.errno))
    r.append(s.connect_ex((A, 7000))); s.send(b"abc"); r.append(s.recv(10)); r.append(s.getpeername()); return r
say("dissolve", dissolve)
def halves():
    r = []
    s = tcp(); s.send(b"a"); s.recv(1); s.shutdown(socket.SHUT_RD)
    r.append(s.recv(10)); r.append(s.send(b"b")); time.sleep(0.1)
    r.append(select.select([s], [s], [s], 0)[0] == [s])
    try: r.append(s.recv(10))
    except OSError as e: r.append(name(e.errno))
    return r
say("shut rd", halves)
def shut_unconnected(how):
    return socket.socket().shutdown(how)
for h in (0, 1, 2, 3): say("shutdown unconnected %d" % h, shut_unconnected, h); say("shutdown connected %d" % h, lambda: tcp().shutdown(h))
def polls(s, t=1000):
    p = select.poll(); p.register(s, 0x3fff); return [e for _, e in p.poll(t)]
def poll_states():
    s = socket.socket(); r = [polls(s, 0)]
    s = tcp(); r.append(polls(s, 0)); s.send(b"x"); time.sleep(0.1); r.append(polls(s, 0)); s.recv(1); s.shutdown(1); time.sleep(0.1); r.append(polls(s, 0)); return r
say("polls", poll_states)
def linger0():
    s = tcp(); s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()
say("linger0", linger0)
def oob():
    s = tcp(); r = [s.send(b"!", socket.MSG_OOB), s.send(b"abc")]; time.sleep(0.1); r.append(s.recv(10)); return r
say("oob", oob)
def oob_recv():
    s = tcp(); s.settimeout(0.1)
    try: return s.recv(1, socket.MSG_OOB)
    except OSError as e: return name(e.errno)
say("oob recv", oob_recv)
def bound(addr, peer, family=socket.AF_INET, *opt):
    def act():
        s = socket.socket(family); s.settimeout(5)
        for o in opt: s.setsockopt(*o)
        s.bind(addr); own = s.getsockname(); s.connect(peer)
        after = s.getsockname()
        return own[0], own[1] > 0, after[0], after[1] > 0, own[1] == after[1] if own[1] else None, s.getpeername(), after[2:]
    return act
say("bound any", bound(("", 0), (A, 7000)))
say("bound own", bound((A, 0), (A, 7000)))
say("bound own port", bound((A, 34567), (A, 7000), socket.AF_INET, (1, 2, 1)))
say("bound any port", bound(("", 34568), (A, 7000), socket.AF_INET, (1, 2, 1)))
say("bound lo port", bound((LO, 34569), (LO, 7001), socket.AF_INET, (1, 2, 1)))
say("bound lo to pod", bound((LO, 0), (A, 7000)))
say("bound no port", bound((A, 0), (A, 7000), socket.AF_INET, (0, 24, 1)))
say("bound foreign", bound(("192.0.2.7", 0), (A, 7000)))
say("bound six any", bound(("::", 0), (A, 7000), socket.AF_INET6))
say("bound six any2", bound(("::", 0), ("::ffff:" + A, 7000), socket.AF_INET6))
say("bound six", bound(("::1", 0), ("::1", 80), socket.AF_INET6))
say("bound six mapped", bound(("::ffff:" + A, 0), ("::ffff:" + A, 7000), socket.AF_INET6))
say("bound six to four", bound(("::1", 0), ("::ffff:" + A, 7000), socket.AF_INET6))
say("v6only to four", bound(("::", 0), ("::ffff:" + A, 7000), socket.AF_INET6, (41, 26, 1)))
say("v6only six", bound(("::", 0), ("::1", 80), socket.AF_INET6, (41, 26, 1)))
def v6only_after():
    s = tcp(("::ffff:" + A, 7000), socket.AF_INET6); return s.getsockopt(41, 26), s.getpeername(), s.getsockname()[0]
say("v6only flag", v6only_after)
def device(d, peer):
    def act():
        s = socket.socket(); s.settimeout(3); s.setsockopt(1, 25, d + b"\0"); s.connect(peer); return s.getpeername()
    return act
say("device lo", device(b"lo", (A, 7000)))
say("device none", device(b"nosuch0", (A, 7000)))
def udp_own(addr):
    s = socket.socket(type=socket.SOCK_DGRAM); s.bind(addr); return s.getsockname()[0], s.getsockname()[1] > 0
for a in (("", 0), (A, 0), (LO, 0), ("192.0.2.7", 0), (A, 45678), (A, 53)): say("udp bind %r" % (a,), udp_own, a)
def udp_connected():
    s = socket.socket(type=socket.SOCK_DGRAM); s.connect((A, 53)); own = s.getsockname(); r = [own[0], own[1] > 0, s.getpeername()]
    r.append(unspec(s))
    try: r.append(s.getpeername())
    except OSError as e: r.append(name(e.errno))
    r.append(s.getsockname()[0]); return r
say("udp connected", udp_connected)
def udp_refused(times):
    s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(0.3); s.connect((A, 9)); r = []
    for _ in range(times):
        try: r.append(s.send(b"x"))
        except OSError as e: r.append(name(e.errno))
        time.sleep(0.1)
    try: r.append(s.recv(10))
    except OSError as e: r.append(name(e.errno) if e.errno else str(e))
    return r
say("udp refused 1", udp_refused, 1)
say("udp refused 2", udp_refused, 2)
say("udp refused 3", udp_refused, 3)
def udp_poll():
    s = socket.socket(type=socket.SOCK_DGRAM); s.connect((A, 9)); s.send(b"x"); time.sleep(0.1); r = polls(s, 500); time.sleep(0.1); r += polls(s, 0); r.append(name(s.getsockopt(1, 4))); r += polls(s, 0); return r
say("udp poll refused", udp_poll)
def udp_unconnected_refused():
    s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(0.3); r = [s.sendto(b"x", (A, 9))]
    try: r.append(s.recvfrom(10))
    except OSError as e: r.append(str(e))
    return r
say("udp free refused", udp_unconnected_refused)
def dns(t, name="echo-server.sandbox.local"):
    q = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0" + struct.pack(">HH", t, 1)
    return q
def udp_dns(connect):
    s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(3)
    if connect: s.connect((A, 53)); s.send(dns(1)); return s.recv(512)[-4:], s.getpeername()
    s.sendto(dns(1), (A, 53)); d, f = s.recvfrom(512); return d[-4:], f
say("dns udp", udp_dns, True); say("dns udp free", udp_dns, False)
def udp_flags():
    s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(3); s.connect((A, 53)); s.send(dns(1))
    r = [s.recv(5, socket.MSG_PEEK), s.recv(5, socket.MSG_PEEK | socket.MSG_TRUNC)[:2]]
    n, anc, flags, f = s.recvmsg(10, 100); r += [n, flags, f]; return r
say("udp flags", udp_flags)
def udp_big():
    s = socket.socket(type=socket.SOCK_DGRAM); r = []
    for n in (65507, 65508, 70000):
        try: r.append(s.sendto(b"x" * n, (A, 9)))
        except OSError as e: r.append(name(e.errno))
    return r
say("udp big", udp_big)
def udp_six():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(2); s.sendto(dns(1), ("::ffff:" + A, 53)); d, f = s.recvfrom(512); return d[-4:], f
say("udp six mapped", udp_six)
say("udp port 0", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (A, 0)))
say("udp connect 0", lambda: socket.socket(type=socket.SOCK_DGRAM).connect((A, 0)))
say("tcp port 0", lambda: tcp((A, 0)))
say("tcp any addr", lambda: tcp(("0.0.0.0", 7001)).recv(100))
say("tcp any six", lambda: tcp(("::", 80), socket.AF_INET6).getpeername())
say("tcp broadcast", lambda: tcp(("255.255.255.255", 7001)))
say("tcp multicast", lambda: tcp(("224.0.0.1", 7001)))
say("tcp v6 multicast", lambda: tcp(("ff02::1", 7001), socket.AF_INET6))
say("tcp link", lambda: tcp(("fe80::1", 7001), socket.AF_INET6))
say("tcp loop2", lambda: tcp(("127.0.0.2", 7001)))
say("udp broadcast", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("255.255.255.255", 7001)))
say("udp unreachable", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 7001)))
say("udp connect unreachable", lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.1", 7001)))
say("udp six unreachable", lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"x", ("2001:db8::1", 7001)))
say("short address", lambda: name((libc.connect(socket.socket().fileno(), b"\2\0", 2), ctypes.get_errno())[1]))
say("null address", lambda: name((libc.connect(socket.socket().fileno(), None, 16), ctypes.get_errno())[1]))
say("bad family", lambda: name((libc.connect(socket.socket().fileno(), struct.pack("H14x", 99), 16), ctypes.get_errno())[1]))
say("six on four", lambda: name((libc.connect(socket.socket().fileno(), struct.pack("H26x", 10), 28), ctypes.get_errno())[1]))
say("bad fd", lambda: name((libc.connect(999, struct.pack("H14x", 2), 16), ctypes.get_errno())[1]))
say("file fd", lambda: name((libc.connect(0, struct.pack("H14x", 2), 16), ctypes.get_errno())[1]))
def connected_twice(): s = tcp(); return name(s.connect_ex((A, 7000))), name(s.connect_ex((A, 9)))
say("twice", connected_twice)
def listening_connect(): s = socket.socket(); s.bind((LO, 0)); s.listen(); return name(s.connect_ex((A, 7000)))
say("listening connect", listening_connect)
def nb_read(peer, f):
    s = socket.socket(); s.setblocking(False); s.connect_ex(peer); select.select([], [s], [], 5); r = []
    for _ in range(2):
        try: r.append(f(s))
        except OSError as e: r.append(name(e.errno))
    return r
say("nb refused read", nb_read, (A, 9), lambda s: os.read(s.fileno(), 10))
say("nb refused recv", nb_read, (A, 9), lambda s: s.recv(10))
say("nb refused write", nb_read, (A, 9), lambda s: os.write(s.fileno(), b"x"))
say("nb refused send", nb_read, (A, 9), lambda s: s.send(b"x"))
say("nb refused peer", nb_read, (A, 9), lambda s: s.getpeername())
say("nb refused name", nb_read, (A, 9), lambda s: s.getsockname()[0] in (A, "0.0.0.0"))
say("nb refused shutdown", nb_read, (A, 9), lambda s: s.shutdown(2))
def fastopen():
    s = socket.socket(); s.setsockopt(6, 30, 1); r = [name(s.connect_ex((A, 7000)))]; r.append(s.send(b"abc")); r.append(s.recv(10)); r.append(s.getpeername()); return r
say("TCP_FASTOPEN_CONNECT", fastopen)
def fast(peer, nb):
    s = socket.socket(); s.setblocking(not nb)
    try: r = [s.sendto(b"abc", socket.MSG_FASTOPEN, peer)]
    except OSError as e: r = [name(e.errno)]
    if nb: select.select([], [s], [], 3); r.append(name(s.getsockopt(1, 4)))
    return r
for n in (False, True): say("fast %d" % n, fast, (A, 7000), n); say("fast refused %d" % n, fast, (A, 9), n)
def after_refusal(family, refused, good):
    s = socket.socket(family); r = [name(s.connect_ex(refused)), s.getsockname()[0], name(s.connect_ex(good)), s.getsockname()[0], s.getpeername()]; return r
say("after refusal", after_refusal, socket.AF_INET, (A, 9), (A, 7000))
say("after refusal lo", after_refusal, socket.AF_INET, (LO, 9), (A, 7000))
say("after refusal mapped", after_refusal, socket.AF_INET6, ("::ffff:" + A, 9), ("::ffff:" + A, 7000))
say("after refusal six", after_refusal, socket.AF_INET6, ("::1", 9), ("::1", 80))
def dissolved(timeout, bind, uses):
    s = socket.socket(); s.settimeout(timeout)
    if bind: s.bind(bind)
    r = []
    for _ in range(3):
        r.append(name(s.connect_ex((A, 7000))))
        if uses: s.send(b"a"); r.append(s.recv(1))
        r.append(unspec(s)); r.append(s.getsockname()[0])
    r += [name(s.connect_ex((A, 7000))), s.getsockname()[0], s.getpeername()]; s.send(b"abc"); r.append(s.recv(3)); return r
for timeout in (None, 3):
    for bind in (None, ("", 0), (A, 0)):
        for uses in (False, True): say("dissolved %s %s %d" % (timeout, bind, uses), dissolved, timeout, bind, uses)
def beside(first, *others):
    it = socket.create_server(first); r = []
    for other in others:
        s = socket.socket(); s.setsockopt(1, 2, 1)
        try: r.append(s.bind(other))
        except OSError as e: r.append(name(e.errno))
    it.close(); return r
say("bind beside a server", beside, ("", 34577), (A, 34577), (LO, 34577), ("", 34577))
say("bind beside a server of one address", beside, (A, 34578), (A, 34578), (LO, 34578), ("", 34578))
def bound_after_refusal():
    s = socket.socket(); s.setblocking(False); r = [name(s.connect_ex((A, 9)))]; select.select([], [s], [], 5); r.append(name(s.getsockopt(1, 4)))
    s.bind((A, 34579)); r += [s.getsockname(), name(s.connect_ex((A, 7000)))]; select.select([], [s], [], 5); r += [s.getsockname(), s.getpeername()]; return r
say("bound after refusal", bound_after_refusal)
