"""What a descriptor of a target's file can do: reading in every way, offsets shared as POSIX has it, passing it on."""
import array, ctypes, fcntl, mmap, os, select, socket, subprocess, sys, threading
from transcript import say



here = os.getcwd()


def at(name, flags=os.O_RDONLY):
    return os.open("/data/" + name, flags)


for name in ("small.txt", "empty", "under", "exact", "over", "big", "sparse", "sub"):
    fd = at(name)
    say("fstat " + name, os.fstat, fd)
    say("fd stat " + name, os.stat, fd)
    say("flags " + name, lambda: fcntl.fcntl(fd, fcntl.F_GETFL) & ~0o100000)
    say("fdflags " + name, fcntl.fcntl, fd, fcntl.F_GETFD)
    say("read 0 " + name, os.read, fd, 0)
    say("read " + name, os.read, fd, 7)
    say("tell " + name, os.lseek, fd, 0, os.SEEK_SET if name == "sub" else os.SEEK_CUR)
    say("pread " + name, os.pread, fd, 9, 5)
    say("pread far " + name, os.pread, fd, 9, 10**9)
    say("pread negative " + name, os.pread, fd, 9, -1)
    say("readv " + name, os.readv, fd, [bytearray(3), bytearray(5)])
    say("preadv " + name, os.preadv, fd, [bytearray(3), bytearray(5)], 2)
    if name != "sub":
        for whence, offset in ((0, 3), (1, 2), (2, -4), (2, 10), (0, -1), (1, -10**9), (3, 0), (4, 0), (3, 2000000), (4, 1048570), (3, 10**8), (4, 10**8), (9, 0)):
            say("lseek %d %d %s" % (whence, offset, name), os.lseek, fd, offset, whence)
    say("write " + name, os.write, fd, b"x")
    say("truncate " + name, os.ftruncate, fd, 0)
    say("pwrite " + name, os.pwrite, fd, b"x", 0)
    say("fsync " + name, os.fsync, fd)
    say("isatty " + name, os.isatty, fd)
    say("mmap " + name, lambda: bytes(mmap.mmap(fd, 0, prot=mmap.PROT_READ)))
    say("mmap shared write " + name, lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_WRITE))
    say("mmap private write " + name, lambda: mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)[:3])
    say("poll " + name, lambda: [event for _, event in (lambda p: (p.register(fd), p.poll(0))[1])(select.poll())])
    say("epoll " + name, lambda: select.epoll().register(fd, select.EPOLLIN))
    say("statvfs " + name, lambda: os.fstatvfs(fd).f_namemax)
    say("flock " + name, fcntl.flock, fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    say("lockf " + name, fcntl.lockf, fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(fd)
    say("closed " + name, os.read, fd, 1)

for name in ("under", "exact", "over", "big", "sparse"):
    say("whole " + name, lambda: open("/data/" + name, "rb").read())
    say("lines " + name, lambda: sum(1 for _ in open("/data/" + name, "rb")))

say("lowest number", lambda: (lambda a, b: (os.close(a), os.close(b), b - a)[2])(at("small.txt"), at("empty")))
fd = at("small.txt")
say("O_CLOEXEC from os.open", os.get_inheritable, fd)
other = os.dup(fd)
os.read(fd, 6)
say("dup shares the offset", os.read, other, 4)
say("again has its own", os.read, at("small.txt"), 4)
if os.fork() == 0:
    os.read(fd, 1)
    os._exit(0)
os.wait()
say("fork shares the offset", os.read, fd, 6)
os.dup2(fd, 50)
say("dup2", os.fstat, 50)
say("F_DUPFD", lambda: fcntl.fcntl(fd, fcntl.F_DUPFD, 60))
os.lseek(fd, 11, 0)
os.set_inheritable(fd, True)
show = "import os,sys; n=int(sys.argv[1]); print(os.fstat(n)[:7], os.read(n, 6), os.readlink('/proc/self/fd/%d' % n) != '')"
say("exec keeps it", lambda: subprocess.run([sys.executable, "-c", show, str(fd)], close_fds=False, capture_output=True).stdout)
say("and the offset has moved", os.lseek, fd, 0, 1)
say("stdin", lambda: subprocess.run(["sh", "-c", "read a; read b; echo $b; cat"], stdin=open("/data/small.txt"), capture_output=True).stdout)
say("close-on-exec", lambda: subprocess.run([sys.executable, "-c", "import os; os.fstat(%d)" % at("empty")], close_fds=False, capture_output=True).returncode)

a, b = socket.socketpair()
fd = at("small.txt")
os.lseek(fd, 6, 0)
socket.send_fds(a, [b"x"], [fd, at("sub")])
_, fds, _, _ = socket.recv_fds(b, 1, 2)
say("passed file", os.fstat, fds[0])
say("passed offset", os.read, fds[0], 4)
say("passed directory", lambda: sorted(os.listdir(fds[1])))
say("at a passed directory", os.stat, "deep/file", dir_fd=fds[1])

r, w = os.pipe()
say("sendfile", os.sendfile, w, at("small.txt"), 3, 10)
say("sendfile bytes", os.read, r, 100)
say("splice", os.splice, at("small.txt"), w, 8, offset_src=6)
say("splice bytes", os.read, r, 100)
say("sendfile directory", os.sendfile, w, at("sub"), 0, 10)
with open("copied", "wb") as out:
    say("sendfile to a file", lambda: os.sendfile(out.fileno(), at("over"), 0, 2 << 20))
say("copied", lambda: open("copied", "rb").read())
say("posix_fadvise", os.posix_fadvise, at("big"), 0, 0, os.POSIX_FADV_SEQUENTIAL)
say("ioctl", lambda: fcntl.ioctl(at("small.txt"), 0x541B, array.array("i", [0])))  # FIONREAD
say("fdopen", lambda: os.fdopen(at("small.txt")).readlines())
say("fchdir", lambda: (os.fchdir(at("sub")), os.getcwd())[1])
os.chdir(here)
say("proc fd", lambda: open("/proc/self/fd/%d" % at("small.txt")).read())
say("dev fd", lambda: open("/dev/fd/%d" % at("small.txt")).read() if os.path.exists("/dev/fd") else open("/proc/self/fd/%d" % at("small.txt")).read())


def reading(results, name):
    results.append(plain_sum(open("/data/" + name, "rb").read()))


def plain_sum(data):
    return (len(data), sum(data[::997]))


results = []
threads = [threading.Thread(target=reading, args=(results, name)) for name in ("under", "over", "big", "small.txt") * 4]
[it.start() for it in threads]
[it.join() for it in threads]
say("threads", lambda: sorted(results))
many = [at("small.txt") for _ in range(300)]
say("300 open", lambda: sum(os.fstat(it).st_size for it in many))
