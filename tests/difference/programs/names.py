"""Names: getaddrinfo and its elders with every family, kind and flag, and the host's own name."""
import ctypes, os, socket, threading
from transcript import say

NAMES = ["echo-server", "echo-server.sandbox.local", "echo-server.sandbox.local.", "ECHO-Server", "two", "six", "both", "in-hosts-only",
         "localhost", "localhost.", "LOCALHOST", "ip6-localhost", "sandbox-7d4b9", "nothing", "nothing.sandbox.local", "x." * 40 + "y", "a" * 64, "a" * 300, "",
         None, "127.0.0.1", "127.1", "0x7f.1", "::1", "::ffff:1.2.3.4", "fe80::1%lo", "1.2.3.4.5", "1.2.3", "256.1.1.1", "-", "a b", "*", "a..b", ".",
         "bücher.example", "foo.localhost", b"\xff\xfe", "two.sandbox.local.sandbox.local"]
HINTS = [(f, k, p, g) for f in (0, socket.AF_INET, socket.AF_INET6) for k, p in ((0, 0), (1, 0)) for g in (0, socket.AI_CANONNAME)]
for name in NAMES:
    for hint in HINTS:
        say("getaddrinfo %r %r" % (name, hint), socket.getaddrinfo, name, 80, *hint)
    say("gethostbyname %r" % (name,), socket.gethostbyname, name)
    say("gethostbyname_ex %r" % (name,), socket.gethostbyname_ex, name)
    say("gethostbyaddr %r" % (name,), socket.gethostbyaddr, name)
for name in ("both", "six", "echo-server", "127.0.0.1", "::1", "localhost", "nothing", None):
    for flag in ("AI_PASSIVE", "AI_NUMERICHOST", "AI_NUMERICSERV", "AI_V4MAPPED", "AI_ALL", "AI_ADDRCONFIG"):
        for family in (0, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            say("flag %s %s %d" % (name, flag, family), socket.getaddrinfo, name, "80", family, 0, 0, getattr(socket, flag))
    say("mapped all %s" % name, socket.getaddrinfo, name, 80, socket.AF_INET6, 1, 0, socket.AI_V4MAPPED | socket.AI_ALL)
    say("bad flag %s" % name, socket.getaddrinfo, name, 80, 0, 0, 0, 1 << 20)
    say("bad kind %s" % name, socket.getaddrinfo, name, 80, 0, 77)
    say("bad pair %s" % name, socket.getaddrinfo, name, 80, 0, 1, 17)
    say("canon number %s" % name, socket.getaddrinfo, name, 80, 0, 1, 0, socket.AI_CANONNAME | socket.AI_NUMERICHOST)
for service in ("http", "80", "domain", "nonsense", "", None, "0", "65535", "65536", "-1", "80x", " 80", "tftp"):
    for kind in (0, 1, 2, 3):
        say("service %r %d" % (service, kind), socket.getaddrinfo, "echo-server", service, socket.AF_INET, kind)
        say("service alone %r %d" % (service, kind), socket.getaddrinfo, None, service, 0, kind)
say("getservbyname", socket.getservbyname, "http")
for address in ("10.99.7.1", "127.0.0.1", "::1", "10.99.7.2", "192.0.2.1"):
    for flags in (0, socket.NI_NUMERICHOST, socket.NI_NAMEREQD, socket.NI_NUMERICSERV, socket.NI_NOFQDN, socket.NI_DGRAM, 3):
        say("getnameinfo %s %d" % (address, flags), socket.getnameinfo, (address, 80), flags)
    say("getfqdn " + address, socket.getfqdn, address)
    say("gethostbyaddr " + address, socket.gethostbyaddr, address)
say("gethostname", socket.gethostname)
say("getfqdn", socket.getfqdn)
say("uname", lambda: tuple(os.uname()))
libc = ctypes.CDLL(None, use_errno=True)
for room in (0, 1, 5, 11, 12, 64):
    text = ctypes.create_string_buffer(b"\xee" * 70)
    say("gethostname %d" % room, lambda: (libc.gethostname(text, room), text.raw[:20] if room < 12 else text.value))
for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc/sys/kernel/hostname"):
    say(path, lambda: open(path).read())
found = []
threads = [threading.Thread(target=lambda name=name: found.append(sorted(it[4][0] for it in socket.getaddrinfo(name, 80, 0, 1)))) for name in ("two", "six", "both", "echo-server") * 8]
[it.start() for it in threads]
[it.join() for it in threads]
say("at once", lambda: sorted(found))
