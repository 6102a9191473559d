"""What a name server's answers come to: aliases, search lists, failures, many addresses, names with underscores."""
import socket

NAMES = ("www", "www.a.test", "www.a.test.", "c1", "c6", "six", "dangling", "empty", "_under._tcp", "under_score", "fail", "refused", "form", "web", "web.b.test",
         "a.b.c.d", "x.y", "x.y.", "dotted.name", "tld", "tld.", "loop", "MIXED", "many", "nothing", "nothing.at.all", "fail.a.test.", "-bad", "*.a.test")
for name in NAMES:
    for family in (0, socket.AF_INET, socket.AF_INET6):
        for flags in (0, socket.AI_CANONNAME, socket.AI_V4MAPPED | socket.AI_ALL):
            say("getaddrinfo %s %d %d" % (name, family, flags), lambda: [(it[3], it[4][0]) for it in socket.getaddrinfo(name, 80, family, 1, 0, flags)])
    for call in (socket.gethostbyname_ex, socket.gethostbyname, socket.gethostbyaddr):
        say("%s %s" % (call.__name__, name), call, name)
for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"):
    say("gethostbyaddr " + address, socket.gethostbyaddr, address)
    for flags in (socket.NI_NUMERICSERV, socket.NI_NAMEREQD | socket.NI_NUMERICSERV):
        say("getnameinfo %s %d" % (address, flags), socket.getnameinfo, (address, 80), flags)
