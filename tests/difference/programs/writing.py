"""Files of the target opened for writing in every way, and what is there afterwards."""
import fcntl, hashlib, itertools, mmap, os, shutil, subprocess, sys, tempfile, time
from transcript import say

top = sys.argv[1]
subprocess.run(["rm", "-rf", top])
os.makedirs(top, exist_ok=True)
begun = time.time() - 60


def look(path, follow=True):
    it = os.stat(path) if follow else os.lstat(path)
    return "%o %d %d:%d %d %d" % (it.st_mode, it.st_nlink, it.st_uid, it.st_gid, it.st_size, it.st_mtime > begun)


def bytes_of(path):
    with open(path, "rb") as file:
        told = file.read()
    return told if len(told) < 100 else "%d bytes %s" % (len(told), hashlib.sha1(told).hexdigest())


def fresh(state, name):
    path = "%s/%s" % (top, name)
    subprocess.run(["rm", "-rf", path])
    if state == "file":
        with open(path, "wb") as file:
            file.write(b"0123456789")
    elif state == "empty":
        open(path, "w").close()
    elif state == "directory":
        os.mkdir(path)
    elif state == "link":
        with open(path + ".to", "wb") as file:
            file.write(b"linked")
        os.symlink(name + ".to", path)
    elif state == "dangling":
        subprocess.run(["rm", "-f", path + ".new"])
        os.symlink(name + ".new", path)
    elif state == "closed":
        with open(path, "wb") as file:
            file.write(b"closed")
        os.chmod(path, 0)
    elif state == "readonly":
        with open(path, "wb") as file:
            file.write(b"readonly")
        os.chmod(path, 0o444)
    elif state == "fifo":
        os.mkfifo(path)
    return path


flags = {
    "WRONLY": os.O_WRONLY, "RDWR": os.O_RDWR, "CREAT": os.O_WRONLY | os.O_CREAT, "EXCL": os.O_RDWR | os.O_CREAT | os.O_EXCL,
    "TRUNC": os.O_WRONLY | os.O_TRUNC, "APPEND": os.O_WRONLY | os.O_APPEND, "APPEND RDWR": os.O_RDWR | os.O_APPEND,
    "CREAT TRUNC": os.O_RDWR | os.O_CREAT | os.O_TRUNC, "CREAT APPEND": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "RDONLY CREAT": os.O_RDONLY | os.O_CREAT, "RDONLY TRUNC": os.O_RDONLY | os.O_TRUNC, "NOFOLLOW": os.O_WRONLY | os.O_NOFOLLOW,
    "NOFOLLOW CREAT": os.O_WRONLY | os.O_NOFOLLOW | os.O_CREAT, "DIRECTORY": os.O_WRONLY | os.O_DIRECTORY,
    "CREAT EXCL TRUNC": os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_TRUNC, "SYNC": os.O_WRONLY | os.O_SYNC | os.O_CREAT,
    "TMPFILE": os.O_RDWR | os.O_TMPFILE, "CREAT DIRECTORY": os.O_WRONLY | os.O_CREAT | os.O_DIRECTORY, "ACCMODE": 3,
}


def opened(path, how, mode):
    fd = os.open(path, how | os.O_NONBLOCK, mode)
    told = ["%o" % (fcntl.fcntl(fd, fcntl.F_GETFL) & 0o7777 & ~os.O_NONBLOCK), os.get_inheritable(fd)]
    for act in (lambda: os.read(fd, 3), lambda: os.write(fd, b"XY"), lambda: os.lseek(fd, 0, 1), lambda: os.fstat(fd).st_size,
                lambda: os.pwrite(fd, b"!", 20), lambda: os.lseek(fd, 0, 2), lambda: os.ftruncate(fd, 15), lambda: os.fsync(fd)):
        try:
            told.append(act())
        except OSError as error:
            told.append(error.strerror)
    os.close(fd)
    return told


for state, (name, how) in itertools.product(("none", "file", "empty", "directory", "link", "dangling", "closed", "readonly", "fifo"), flags.items()):
    if state == "fifo" and name not in ("CREAT EXCL TRUNC", "EXCL", "DIRECTORY"):
        continue  # what a FIFO can do is not carried
    path = fresh(state, "it")
    say("open %s %s" % (state, name), opened, path, how, 0o666)
    if state != "closed":
        say("  then", lambda: [look(path, False), None if os.path.isdir(path) or state == "fifo" else bytes_of(path)])
for mask, mode in itertools.product((0, 0o22, 0o77, 0o777), (0, 0o600, 0o666, 0o777, 0o4755, 0o1644)):
    os.umask(mask)
    path = fresh("none", "moded")
    say("mode %o umask %o" % (mode, mask), lambda: (os.close(os.open(path, os.O_CREAT | os.O_WRONLY, mode)), look(path))[1])
os.umask(0o22)
for path in ("none/x", "it/x", "it/", ".", "..", "", "/", "n" * 256, "x" * 255, "../writing-none/x", "none/../y"):
    path = path if path in ("", "/") else "%s/%s" % (top, path)
    say("create %s" % path[-30:], lambda: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)))
path = fresh("none", "trailing")
say("create trailing slash", lambda: os.close(os.open(path + "/", os.O_CREAT | os.O_WRONLY, 0o600)))

path = fresh("file", "two")
a, b, c = os.open(path, os.O_RDWR), os.open(path, os.O_WRONLY), os.open(path, os.O_RDONLY)
d = os.dup(a)
say("two a", lambda: os.write(a, b"AAA"))
say("two dup", lambda: (os.lseek(d, 0, 1), os.write(d, b"DD")))
say("two b", lambda: os.write(b, b"b"))
say("two c", lambda: os.read(c, 100))
say("two path", lambda: (look(path), bytes_of(path)))
say("two append", lambda: [os.write(os.open(path, os.O_WRONLY | os.O_APPEND), b"end"), os.pread(c, 100, 0)])
say("two truncate", lambda: [os.truncate(path, 4), os.fstat(a).st_size, os.pread(c, 100, 0), os.lseek(a, 0, 1)])
say("two hole", lambda: [os.write(a, b"x"), bytes_of(path)])
say("two unlink", lambda: [os.unlink(path), os.fstat(a).st_nlink, os.write(b, b"more"), os.pread(a, 100, 0), os.path.exists(path)])
say("two again", lambda: [os.write(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), b"new"), os.pread(a, 3, 0), bytes_of(path)])
say("two dup2", lambda: [os.dup2(a, b), os.write(b, b"!"), os.pread(a, 100, 0)])
for fd in (a, b, c, d):
    os.close(fd)
say("closed", lambda: os.write(a, b"x"))

path = fresh("file", "vectors")
fd = os.open(path, os.O_RDWR)
say("writev", lambda: [os.writev(fd, [b"ab", b"", b"cde"]), os.pwritev(fd, [b"X", b"Y"], 8), bytes_of(path)])
say("pwrite negative", lambda: os.pwrite(fd, b"x", -1))
say("ftruncate", lambda: [os.ftruncate(fd, 5), os.fstat(fd).st_size, os.ftruncate(fd, 7), bytes_of(path)])
say("ftruncate negative", lambda: os.ftruncate(fd, -1))
say("posix_fallocate", lambda: [os.posix_fallocate(fd, 0, 100), os.fstat(fd).st_size])
say("posix_fallocate zero", lambda: os.posix_fallocate(fd, 0, 0))
say("lseek data", lambda: [os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 0, os.SEEK_END), os.lseek(fd, -3, os.SEEK_CUR)])
say("lseek beyond", lambda: [os.lseek(fd, 1000, 0), os.write(fd, b"far"), os.fstat(fd).st_size])
say("sendfile", lambda: [os.lseek(fd, 0, 0), os.sendfile(fd, os.open(path, os.O_RDONLY), 0, 5), bytes_of(path)[:12]])
say("copy_file_range", lambda: [os.copy_file_range(os.open("/data/small.txt", os.O_RDONLY), fd, 8, 0, 1), bytes_of(path)[:12]])
say("fchmod", lambda: [os.fchmod(fd, 0o640), look(path)])
say("futimens", lambda: [os.utime(fd, ns=(10**18, 2 * 10**18 + 5)), os.fstat(fd).st_mtime_ns, os.stat(path).st_atime_ns])
say("futimens after write", lambda: [os.pwrite(fd, b"w", 0), os.utime(fd, ns=(10**18, 3 * 10**18)), os.close(fd), os.stat(path).st_mtime_ns])
say("read of write only", lambda: os.read(os.open(path, os.O_WRONLY), 3))
say("write of read only", lambda: os.write(os.open(path, os.O_RDONLY), b"x"))
say("truncate", lambda: [os.truncate(path, 3), look(path), bytes_of(path)])
say("truncate directory", lambda: os.truncate(top, 3))
say("truncate none", lambda: os.truncate(top + "/none", 3))
say("truncate negative", lambda: os.truncate(path, -1))

path = fresh("none", "locked")
one, two = os.open(path, os.O_CREAT | os.O_RDWR), os.open(path, os.O_RDWR)
say("flock", lambda: [fcntl.flock(one, fcntl.LOCK_EX), fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)])
say("flock again", lambda: [fcntl.flock(one, fcntl.LOCK_UN), fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)])
say("lockf", lambda: fcntl.lockf(one, fcntl.LOCK_EX | fcntl.LOCK_NB))
os.close(one), os.close(two)


def forked(act):
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(3)
    return os.waitpid(child, 0)[1]


path = fresh("none", "forked")
fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
say("fork", lambda: [os.write(fd, b"one "), forked(lambda: os.write(fd, b"two ")), os.write(fd, b"three"), bytes_of(path)])
say("fork kill", lambda: [forked(lambda: (os.write(fd, b" four"), os.kill(os.getpid(), 9))), os.lseek(fd, 0, 1), bytes_of(path)])
os.close(fd)
say("child stdout", lambda: [subprocess.run(["sh", "-c", "echo out; echo err >&2; /bin/echo child"], stdout=open(path, "w"), stderr=subprocess.STDOUT).returncode, bytes_of(path)])
say("child append", lambda: [subprocess.run(["sh", "-c", "echo more >> %s; cat %s" % (path, path)], capture_output=True).stdout, look(path)])
say("pass fd", lambda: (lambda f: [subprocess.run(["sh", "-c", "echo passed >&%d" % f.fileno()], pass_fds=[f.fileno()]).returncode, f.write("after\n"), f.close(), bytes_of(path)])(open(path, "w")))

path = fresh("none", "text")
for mode in ("w", "a", "r+", "w+", "a+", "x", "wb", "r+b"):
    def text(mode=mode):
        with open(path, mode) as file:
            told = [file.tell(), file.write("line one\nline two\n" if "b" not in mode else b"bytes"), file.tell(), file.seekable(), file.isatty()]
            if "+" in mode:
                told += [file.seek(0), file.read()]
        return told + [bytes_of(path)]
    say("open %s" % mode, text)
say("replace", lambda: [open(path + ".tmp", "w").write("new"), os.replace(path + ".tmp", path), bytes_of(path), os.path.exists(path + ".tmp")])
say("rename open", lambda: (lambda f: [f.write("moved"), os.rename(path, path + ".2"), f.flush(), bytes_of(path + ".2"), f.close()])(open(path, "w")))
say("link open", lambda: (lambda f: [f.write("x"), os.link(path + ".2", path + ".3"), f.close(), look(path + ".3"), bytes_of(path + ".3")])(open(path + ".2", "w")))

path = fresh("file", "mapped")
with open(path, "r+b") as file:
    map_ = mmap.mmap(file.fileno(), 0)
    say("mmap", lambda: [map_[:4], map_.write(b"MAP"), map_.flush(), bytes_of(path)])
    say("mmap private", lambda: (lambda m: [m.write(b"no"), bytes_of(path)])(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)))
    map_[5:6] = b"5"
map_.close()
say("mmap closed", lambda: bytes_of(path))
say("mmap beyond", lambda: mmap.mmap(os.open(path, os.O_RDWR), 10000))

say("mkstemp", lambda: (lambda it: [os.write(it[0], b"t"), look(it[1]), os.path.dirname(it[1]) == top, os.close(it[0]), bytes_of(it[1])])(tempfile.mkstemp(dir=top)))
say("named", lambda: (lambda it: [it.write(b"named"), it.flush(), bytes_of(it.name), it.close(), os.path.exists(it.name)])(tempfile.NamedTemporaryFile(dir=top)))
say("temporary", lambda: (lambda it: [it.write(b"temporary"), it.seek(0), it.read(), os.fstat(it.fileno()).st_nlink, it.close()])(tempfile.TemporaryFile(dir=top)))
say("tmpfile link", lambda: (lambda fd: [os.write(fd, b"linked"), os.link("/proc/self/fd/%d" % fd, top + "/given", follow_symlinks=True), os.close(fd), look(top + "/given"), bytes_of(top + "/given")])(os.open(top, os.O_TMPFILE | os.O_RDWR, 0o600)))
say("copy", lambda: [shutil.copy("/data/over", top + "/over"), look(top + "/over"), bytes_of(top + "/over") == bytes_of("/data/over")])
say("copytree", lambda: [shutil.copytree("/data/sub/deep", top + "/deep"), look(top + "/deep"), bytes_of(top + "/deep/file")])
say("big", lambda: [open(top + "/big", "wb").write(bytes(range(256)) * 20000), look(top + "/big"), bytes_of(top + "/big")])
say("big middle", lambda: (lambda f: [f.seek(3000000), f.write(b"changed"), f.close(), bytes_of(top + "/big")])(open(top + "/big", "r+b")))
say("sparse", lambda: (lambda f: [f.seek(5000000), f.write(b"end"), f.close(), os.stat(top + "/sparse").st_blocks < 100, bytes_of(top + "/sparse")])(open(top + "/sparse", "wb")))
say("listing", lambda: sorted(name for name in os.listdir(top) if not name.startswith("tmp")))
say("elsewhere", lambda: open("/data/emptydir/new", "w").close())
say("root", lambda: open("/in-root", "w").close())
subprocess.run(["rm", "-rf", top, "/data/emptydir/new", "/in-root"])
