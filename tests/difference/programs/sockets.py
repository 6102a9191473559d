"""Connections: every way to make one, every way it ends, and what the socket tells of itself."""
import asyncio, errno, http.client, os, select, selectors, signal, socket, struct, threading, time, urllib.error, urllib.request
from transcript import say

A, LO = "10.99.7.1", "127.0.0.1"
PEERS = {"echo": (socket.AF_INET, (A, 7000)), "loopback": (socket.AF_INET, (LO, 7001)), "six": (socket.AF_INET6, ("::1", 80)),
         "mapped": (socket.AF_INET6, ("::ffff:" + A, 7000)), "refused": (socket.AF_INET, (A, 9)), "refused lo": (socket.AF_INET, (LO, 9)),
         "refused six": (socket.AF_INET6, ("::1", 9)), "unreachable": (socket.AF_INET, ("192.0.2.1", 80)),
         "unreachable six": (socket.AF_INET6, ("2001:db8::1", 80)), "zero": (socket.AF_INET, ("0.0.0.0", 7000)),
         "broadcast": (socket.AF_INET, ("255.255.255.255", 80)), "multicast": (socket.AF_INET, ("224.0.0.1", 80)),
         "port 0": (socket.AF_INET, (A, 0)), "other family": (socket.AF_INET6, ("::ffff:" + A, 9)), "any lo": (socket.AF_INET, ("127.9.9.9", 80)),
         "link": (socket.AF_INET6, ("fe80::1", 80))}


def names(it):
    own, peer = it.getsockname(), it.getpeername()
    return own[0], own[1] > 0, peer


def state(it):
    return it.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def waited(it, how):
    if how == "select":
        return [len(ready) for ready in select.select([it], [it], [it], 5)]
    if how == "poll":
        poll = select.poll()
        poll.register(it, select.POLLIN | select.POLLOUT | select.POLLERR)
        return [event for _, event in poll.poll(5000)]
    poll = select.epoll()
    poll.register(it, select.EPOLLOUT | select.EPOLLIN | (select.EPOLLET if how == "edge" else 0))
    return [event for _, event in poll.poll(5)]


for label, (family, peer) in PEERS.items():
    it = socket.socket(family)
    say("connect " + label, it.connect, peer)
    say("names " + label, names, it)
    say("again " + label, it.connect_ex, peer)
    say("error " + label, state, it)
    it.close()
    for timeout in (3,):
        it = socket.socket(family)
        it.settimeout(timeout)
        say("timeout " + label, it.connect, peer)
        it.close()
    for how in ("select", "poll", "epoll", "edge"):
        it = socket.socket(family)
        it.setblocking(False)
        first = it.connect_ex(peer)
        say("begin %s %s" % (how, label), lambda: errno.errorcode.get(first, first))
        if first == errno.EINPROGRESS and label not in ("loopback",):
            say("wait %s %s" % (how, label), waited, it, how)
        elif first == errno.EINPROGRESS:
            select.select([], [it], [], 5)
        say("so_error %s %s" % (how, label), state, it)
        say("so_error again %s %s" % (how, label), state, it)
        say("names %s %s" % (how, label), names, it)
        say("second %s %s" % (how, label), lambda: errno.errorcode.get(it.connect_ex(peer)))
        say("options %s %s" % (how, label), lambda: (it.getblocking(), it.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), it.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        it.close()

it = socket.create_connection((A, 7000))
say("echo", lambda: (it.sendall(b"hello"), it.recv(10)))
say("peek", lambda: (it.sendall(b"again"), it.recv(2, socket.MSG_PEEK | socket.MSG_WAITALL), it.recv(5, socket.MSG_WAITALL)))
say("nothing yet", it.recv, 5, socket.MSG_DONTWAIT)
say("half close", lambda: (it.sendall(b"last"), it.shutdown(socket.SHUT_WR), it.recv(10), it.recv(10)))
say("after half close", it.send, b"x")
say("shut again", it.shutdown, socket.SHUT_RDWR)
say("names after", names, it)
say("unconnected names", socket.socket().getpeername)
say("unconnected own", socket.socket().getsockname)
say("recv unconnected", socket.socket().recv, 1)
say("send unconnected", socket.socket().send, b"x")


def big():
    it = socket.create_connection((A, 7000))
    data = os.urandom(3 << 20)
    sending = threading.Thread(target=lambda: (it.sendall(data), it.shutdown(socket.SHUT_WR)))
    sending.start()
    got = b"".join(iter(lambda: it.recv(1 << 16), b""))
    sending.join()
    return got == data


say("3 MiB both ways", big)
with socket.create_connection((LO, 7001)) as it:
    say("greeting", lambda: b"".join(iter(lambda: it.recv(100), b"")))
    say("send to closed", lambda: [it.send(b"x"), time.sleep(0.1), it.send(b"x")])
for port, label in ((7002, "reset"),):
    it = socket.create_connection((A, port))
    say("before " + label, it.recv, 10)
    say("after " + label, it.recv, 10)
    say("then", it.recv, 10)
    say("send after reset", it.send, b"x")
    it = socket.create_connection((A, port))
    it.recv(10)
    say("poll of a reset", waited, it, "poll")
    say("error of a reset", state, it)


def many():
    all = [socket.create_connection((A, 7000)) for _ in range(100)]
    for n, it in enumerate(all):
        it.send(b"%03d" % n)
    told = [it.recv(3, socket.MSG_WAITALL) for it in all]
    return told == [b"%03d" % n for n in range(100)], len({it.getsockname() for it in all})


say("100 connections", many)


async def parallel():
    async def one(n):
        reader, writer = await asyncio.open_connection("echo-server", 7000)
        writer.write(b"%d" % n)
        writer.write_eof()
        told = await reader.read()
        writer.close()
        return told
    return sorted(await asyncio.gather(*(one(n) for n in range(60)))) == sorted(b"%d" % n for n in range(60))


async def refused(host, port):
    try:
        await asyncio.open_connection(host, port)
    except OSError as error:
        return error.errno, str(error).replace("\n", " ")


say("asyncio", lambda: asyncio.run(parallel()))
say("asyncio refused", lambda: asyncio.run(refused("echo-server", 9)))
say("asyncio no name", lambda: asyncio.run(refused("nothing", 9)))
say("asyncio both", lambda: asyncio.run(refused("both", 9)))
say("urllib", lambda: urllib.request.urlopen("http://echo-server/a/b?c").read())
say("urllib six", lambda: urllib.request.urlopen("http://[::1]/a").status)
say("urllib both", lambda: urllib.request.urlopen("http://both/a").status)
say("urllib refused", lambda: urllib.request.urlopen("http://echo-server:9/"))
say("urllib no name", lambda: urllib.request.urlopen("http://nothing/"))


def kept():
    it = http.client.HTTPConnection("echo-server")
    told = []
    for n in range(20):
        it.request("POST", "/%d" % n, body=b"x" * 1000)
        answer = it.getresponse()
        told.append((answer.status, len(answer.read()) > 50))
    return set(told), it.sock.getpeername()


say("http.client", kept)
own = socket.create_server((LO, 0))
say("own listener", lambda: (lambda it: (it.getpeername() == own.getsockname(), it.send(b"own"), own.accept()[0].recv(3)))(socket.create_connection(own.getsockname())))
own6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
say("own listener six", lambda: (lambda it: (it.getpeername() == own6.getsockname()))(socket.create_connection(own6.getsockname()[:2])))
every = socket.create_server(("", 0))
say("own listener on all", lambda: socket.create_connection((LO, every.getsockname()[1])).getpeername()[0])
name = "\0difference-%d" % os.getpid()
local = socket.socket(socket.AF_UNIX)
local.bind(name)
local.listen()
say("abstract unix", lambda: socket.socket(socket.AF_UNIX).connect(name))
say("no unix", lambda: socket.socket(socket.AF_UNIX).connect("/tmp/no-such-socket"))
say("bad address", lambda: socket.socket(socket.AF_INET6).connect((A, 7000)))
say("bound", lambda: (lambda it: (it.bind(("", 0)), it.connect((A, 7000)), it.getsockname()[1] > 0, it.getpeername()))(socket.socket()))
say("bound to loopback", lambda: (lambda it: (it.bind((LO, 0)), it.connect((LO, 7001)), it.getsockname()[0]))(socket.socket()))
say("udp connect", lambda: (lambda it: (it.connect((LO, 7000)), it.getpeername()))(socket.socket(type=socket.SOCK_DGRAM)))
say("dissolve", lambda: (lambda it: (it.connect_ex((A, 9)), it.connect_ex((A, 7000)), it.getpeername()))(socket.socket()))


def fast_open():
    it = socket.socket()
    it.sendto(b"fast", socket.MSG_FASTOPEN, (A, 7000))
    return it.recv(4), it.getpeername()


say("MSG_FASTOPEN", fast_open)
say("dup", lambda: (lambda it: (it.send(b"dup"), os.read(os.dup(it.fileno()), 3), socket.socket(fileno=os.dup(it.fileno())).getpeername()))(socket.create_connection((A, 7000))))


def inherited():
    it = socket.create_connection((A, 7000))
    child = os.fork()
    if child == 0:
        it.send(repr(it.getpeername()).encode())
        it.close()
        os._exit(0)
    os.waitpid(child, 0)
    return it.recv(100)


say("fork", inherited)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
say("signals during connects", lambda: [socket.create_connection((A, 7000)).getpeername() for _ in range(30)][-1])
say("signals during names", lambda: [socket.getaddrinfo("echo-server", 80, 0, 1) for _ in range(30)][-1])
say("signals during files", lambda: [open("/data/over", "rb").read(3) == open("/data/over", "rb").read(3) for _ in range(30)][-1])
signal.setitimer(signal.ITIMER_REAL, 0)
