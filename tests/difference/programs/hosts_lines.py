"""What lines of /etc/hosts come to: order, what stands twice, aliases, mapped addresses."""
import socket

FLAGS = (0, socket.AI_CANONNAME, socket.AI_V4MAPPED, socket.AI_ADDRCONFIG)
for name in ("localhost", "ip6-localhost", "foo.localhost", "localhost.", "near", "far", "mixed", "own", "dup", "alias2", "sixer"):
    for family in (0, socket.AF_INET, socket.AF_INET6):
        for flags in FLAGS:
            say("getaddrinfo %s %d %d" % (name, family, flags), lambda: [(it[3], it[4]) for it in socket.getaddrinfo(name, 80, family, 1, 0, flags)])
    say("gethostbyname_ex " + name, socket.gethostbyname_ex, name)
    say("gethostbyaddr " + name, socket.gethostbyaddr, name)
for address in ("127.0.0.1", "::1", "10.1.1.1", "10.1.1.2", "::ffff:10.1.1.1", "::ffff:10.1.1.9", "10.1.1.9", "fd00::9"):
    say("gethostbyaddr " + address, socket.gethostbyaddr, address)
    say("getnameinfo " + address, socket.getnameinfo, (address, 80), 0)
