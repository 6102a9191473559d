"""The network as the kernel tells it in files, by all names of them."""

def read(path):
    with open(path) as file:
        return file.read()


def without_numbers(text):
    return [line.split()[0] for line in text.splitlines()]


for name in ("route", "if_inet6", "fib_trie", "tcp", "tcp6", "arp"):
    say(name, lambda: sorted(read("/proc/net/" + name).splitlines()))
for name in ("udp", "udp6", "raw", "protocols", "packet", "unix"):
    say(name, lambda: read("/proc/net/" + name).splitlines()[0].split())
for name in ("dev", "snmp", "netstat", "sockstat"):
    say(name, lambda: without_numbers(read("/proc/net/" + name)))

route = read("/proc/net/route")
for directory in ("/proc/self/net", "/proc/thread-self/net", "/proc/%d/net" % os.getpid(), "/proc/self/task/%d/net" % os.getpid()):
    say(directory.replace(str(os.getpid()), "PID"), lambda: read(directory + "/route") == route)
    say("listed", lambda: len(os.listdir(directory)) > 20 and "route" in os.listdir(directory))
say("link", os.readlink, "/proc/net")
say("link is", lambda: oct(os.lstat("/proc/net").st_mode >> 12))
say("directory is", lambda: oct(os.stat("/proc/net").st_mode))
say("file", lambda: (oct(os.stat("/proc/net/tcp").st_mode), os.stat("/proc/net/tcp").st_size))
say("missing", os.stat, "/proc/net/none")
say("missing is", os.access, "/proc/net/none", os.F_OK)
say("there is", os.access, "/proc/net/tcp", os.R_OK)
say("real", lambda: os.path.realpath("/proc/net/tcp").replace(str(os.getpid()), "PID"))
say("for writing", lambda: open("/proc/net/none", "r+"))
directory = os.open("/proc/net", os.O_RDONLY | os.O_DIRECTORY)
say("relative", lambda: os.read(os.open("route", os.O_RDONLY, dir_fd=directory), 1 << 16).decode() == route)
os.chdir("/proc")
say("from /proc", lambda: read("net/route") == route)
os.chdir("/proc/net")
say("from /proc/net", lambda: read("route") == route)
os.chdir("/")
say("class", os.listdir, "/sys/class/net")

# What is read again is as it is by then.
tcp = os.open("/proc/net/tcp", os.O_RDONLY)
say("another reader", lambda: os.read(tcp, 1 << 16) and os.lseek(tcp, 0, os.SEEK_SET) == 0 and len(os.read(tcp, 1 << 16)) > 100)
