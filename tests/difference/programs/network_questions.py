"""What the kernel answers about interfaces, by ioctl and by netlink; and what it refuses without CAP_NET_ADMIN."""
import fcntl, struct

plain_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def interface(number, name, value=0):
    return fcntl.ioctl(plain_socket, number, struct.pack("16si20x", name.encode(), value))


for name in ("lo", "pod0", "pod1", "pod0:1", "none", ""):
    for number in (0x8913, 0x8915, 0x8917, 0x8919, 0x891B, 0x891D, 0x8921, 0x8927, 0x8933, 0x8942, 0x8970):
        say("%s %x" % (name, number), interface, number, name)
for index in (0, 1, 2, 3, 9):
    say("name of %d" % index, interface, 0x8910, "", index)
for number in (0x8914, 0x8916, 0x8922, 0x890B, 0x8955):
    say("change %x" % number, interface, number, "pod0")
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
say("by IPv6", lambda: fcntl.ioctl(six, 0x8933, struct.pack("16s24x", b"pod0")))
unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
say("by a Unix socket", lambda: fcntl.ioctl(unix, 0x8921, struct.pack("16s24x", b"pod0")))


def listed(room):
    import array
    into = array.array("B", b"\0" * room)
    address, _ = into.buffer_info()
    said = fcntl.ioctl(plain_socket, 0x8912, struct.pack("iP", room, address if room else 0))
    return struct.unpack("iP", said)[0], into.tobytes()


for room in (0, 39, 40, 100, 4000):
    say("list in %d" % room, listed, room)

DUMP = 0x301


def ask(kind, flags=DUMP, body=b"\0" * 20, protocol=0, strict=False, connect=False):
    own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    own.bind((0, 0))
    if strict:
        own.setsockopt(270, 12, 1)
    if connect:
        own.connect((0, 0))
    head = struct.pack("IHHII", 16 + len(body), kind, flags, 42, 0)
    sent = own.send(head + body) if connect else own.sendto(head + body, (0, 0))
    told = ["sent %d" % sent]
    if protocol == 0:
        own.settimeout(5)
    while True:
        data, _, _, sender = own.recvmsg(1 << 16)
        while data:
            length, type, flags, sequence, port = struct.unpack("IHHII", data[:16])
            is_ours = port == own.getsockname()[0]
            told.append("%d %x %d %s %s %s" % (type, flags, sequence, is_ours, sender, worth(type, data[16:length])))
            data = data[(length + 3) & ~3 :]
            if type == 2 or type == 3 or not flags & 2:
                own.close()
                return told


def worth(type, body):
    """Without counters and times, which pass."""
    if type == 2:
        return struct.unpack("i", body[:4])[0]
    if type == 16:
        return (body[:8].hex(), body[body.index(b"pod") :][:4] if b"pod" in body else b"lo")
    if type == 20 and len(body) >= 72:  # of a socket; what follows is told by rights
        return body[:68].hex()
    return body.hex() if type in (20, 24) else len(body)


for kind, name in ((18, "links"), (22, "addresses"), (26, "routes"), (30, "neighbours"), (34, "rules")):
    say(name, ask, kind)
say("addresses of IPv4", ask, 22, body=b"\2" + b"\0" * 7)
say("strictly", ask, 22, body=b"\2" + b"\0" * 7, strict=True)
say("strictly wrong", ask, 22, body=b"\2\7\7\7" + b"\0" * 16, strict=True)
say("connected", ask, 22, connect=True)
say("one link", ask, 18, flags=1, body=struct.pack("BxHiII", 0, 0, 1, 0, 0))
say("no link", ask, 18, flags=1, body=struct.pack("BxHiII", 0, 0, 99, 0, 0))
say("with a verdict", ask, 18, flags=5, body=struct.pack("BxHiII", 0, 0, 99, 0, 0))
say("unknown", ask, 250)
say("a new link", ask, 16, flags=5)
say("sockets that listen", lambda: sorted(ask(20, body=struct.pack("BBBxI48x", 2, 6, 0, 1 << 10), protocol=4)))
watcher = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
say("groups", watcher.bind, (0, 1))
say("membership", watcher.setsockopt, 270, 1, 5)
say("family", lambda: (watcher.family, watcher.getsockopt(1, 38), watcher.getsockopt(1, 39)))
