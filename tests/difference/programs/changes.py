"""Every call that changes a tree or metadata, by path and by descriptor, at the edges of what each may be given."""
import ctypes, errno, os, shutil, stat, sys, tempfile
from transcript import say

top = "/data/work"
libc = ctypes.CDLL(None, use_errno=True)


def tree():
    """Everything below, without what differs from run to run: inodes and times."""
    for directory, below, files in sorted(os.walk(top)):
        for name in [""] + sorted(below + files):
            it = os.lstat(os.path.join(directory, name))
            text = os.readlink(os.path.join(directory, name)) if stat.S_ISLNK(it.st_mode) else ""
            print(" ", os.path.join(directory, name), stat.filemode(it.st_mode), it.st_nlink, it.st_uid, it.st_gid,
                  it.st_size if stat.S_ISREG(it.st_mode) else "", text, it.st_rdev, flush=True)


def c(name, *arguments):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*[it.encode() if isinstance(it, str) else it for it in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def fill():
    os.chdir("/")
    for name in ("a", "b", "full", "full/below", "closed"):
        os.mkdir(top + "/" + name, 0o755)
    for name, size in (("file", 5), ("other", 9), ("full/file", 1), ("closed/file", 1)):
        with open(top + "/" + name, "wb") as it:
            it.write(b"x" * size)
    for name, text in (("tofile", "file"), ("todir", "full"), ("dangling", "none"), ("loop", "loop"), ("up", ".."),
                       ("absolute", "/data/work/file"), ("out", "../../../../../etc/hostname")):
        os.symlink(text, top + "/" + name)
    os.mkfifo(top + "/fifo")


PLACES = ["file", "a", "full", "tofile", "todir", "dangling", "loop", "fifo", "none", "none/none", "file/x", "a/", "file/",
          "todir/", "tofile/", "dangling/", "a/.", "a/..", ".", "..", "", "full/below", "x" * 255, "x" * 256, "up",
          "absolute", "out", "closed/file", "//a//", "a/../b", "todir/file", b"caf\xe9".decode(errors="surrogateescape")]


def at(place):
    return top + "/" + place if place else ""


def renewed(act):
    for it in os.listdir(top):
        path = top + "/" + it
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    fill()
    act()


def each(label, act, places=PLACES):
    print("==", label)
    for place in places:
        say("%s %s" % (label, place.encode(errors="surrogateescape")[:20]), act, at(place))
    tree()


os.umask(0o022)
say("fill", fill)
tree()
for umask in (0, 0o27, 0o777, 0o22):
    os.umask(umask)
    say("umask mkdir", os.mkdir, top + "/m%o" % umask, 0o777)
    say("umask fifo", os.mkfifo, top + "/f%o" % umask, 0o666)
    say("umask fd", lambda: os.mkdir("d%o" % umask, 0o1777, dir_fd=os.open(top, os.O_RDONLY)))
    say("umask mknod", os.mknod, top + "/n%o" % umask, 0o666 | stat.S_IFREG)
os.umask(0o022)
tree()
renewed(lambda: each("mkdir", os.mkdir))
renewed(lambda: each("rmdir", os.rmdir))
renewed(lambda: each("unlink", os.unlink))
renewed(lambda: each("remove", lambda path: c("remove", os.fsencode(path))))
renewed(lambda: each("mkfifo", os.mkfifo))
renewed(lambda: each("mknod regular", lambda path: os.mknod(path, 0o640)))
renewed(lambda: each("mknod directory", lambda path: os.mknod(path, stat.S_IFDIR | 0o755)))
renewed(lambda: each("mknod null", lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))))
renewed(lambda: each("mknod odd", lambda path: os.mknod(path, 0o170000)))
renewed(lambda: each("symlink", lambda path: os.symlink("some/../text", path)))
renewed(lambda: each("symlink empty", lambda path: os.symlink("", path)))
renewed(lambda: each("rename to new", lambda path: os.rename(path, top + "/b/new")))
renewed(lambda: each("rename to file", lambda path: os.rename(path, top + "/other")))
renewed(lambda: each("rename to directory", lambda path: os.rename(path, top + "/b")))
renewed(lambda: each("rename file to", lambda path: os.rename(top + "/other", path)))
renewed(lambda: each("rename directory to", lambda path: os.rename(top + "/b", path)))
renewed(lambda: each("rename to itself", lambda path: os.rename(path, path)))
renewed(lambda: each("rename into itself", lambda path: os.rename(path, path + "/in")))
renewed(lambda: each("link", lambda path: os.link(path, top + "/b/new")))
renewed(lambda: each("link follow", lambda path: os.link(path, "new", dst_dir_fd=os.open(top + "/b", os.O_RDONLY), follow_symlinks=True)))
renewed(lambda: each("link to", lambda path: os.link(top + "/file", path)))
for flags in (1, 2, 3, 4, 8):
    renewed(lambda: each("renameat2 %d" % flags, lambda path: c("renameat2", -100, os.fsencode(path), -100, top + "/a", flags)))
renewed(lambda: each("chmod", lambda path: os.chmod(path, 0o4713)))
renewed(lambda: each("lchmod", lambda path: os.chmod(path, 0o640, follow_symlinks=False)))
renewed(lambda: each("chown", lambda path: os.chown(path, 4241, -1)))
renewed(lambda: each("chown group", lambda path: os.chown(path, -1, 4242)))
renewed(lambda: each("chown away", lambda path: os.chown(path, 7, 8)))
renewed(lambda: each("lchown", lambda path: os.lchown(path, -1, 4242)))
renewed(lambda: each("chown none", lambda path: os.chown(path, -1, -1)))
renewed(lambda: each("truncate", lambda path: os.truncate(path, 3)))
renewed(lambda: each("truncate longer", lambda path: os.truncate(path, 100)))
renewed(lambda: each("truncate wrong", lambda path: os.truncate(path, -1)))


def times(path, **more):
    os.utime(path, ns=(-1_500_000_000, 981_173_106_123_456_789), **more)
    it = os.stat(path, **more)
    return it.st_atime_ns, it.st_mtime_ns


def omitted(path):
    os.utime(path, ns=(1, 2))
    before = os.stat(path)
    c("utimensat", -100, os.fsencode(path), (ctypes.c_long * 4)(0, 0x3FFFFFFE, 7, 8), 0)
    after = os.stat(path)
    return after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns >= before.st_ctime_ns


def now(path):
    os.utime(path, ns=(1, 2))
    os.utime(path)
    it = os.stat(path)
    return it.st_mtime_ns > 10**18, it.st_atime_ns > 10**18


renewed(lambda: each("utime", times))
renewed(lambda: each("utime link", lambda path: times(path, follow_symlinks=False)))
renewed(lambda: each("utime omit", omitted))
renewed(lambda: each("utime now", now))
renewed(lambda: each("utimensat odd", lambda path: c("utimensat", -100, os.fsencode(path), (ctypes.c_long * 4)(0, 10**9, 0, -1), 0)))
renewed(lambda: each("utimensat both omitted", lambda path: c("utimensat", -100, os.fsencode(path), (ctypes.c_long * 4)(0, 0x3FFFFFFE, 0, 0x3FFFFFFE), 0)))
renewed(lambda: each("utimes odd", lambda path: c("utimes", os.fsencode(path), (ctypes.c_long * 4)(0, 10**6, 0, 0))))
for call, flags in (("fchmodat", 0x200), ("fchownat", 0x200), ("utimensat", 0x400), ("linkat", 0x200), ("unlinkat", 0x100)):
    renewed(lambda: each(call + " odd", lambda path: c(call, -100, os.fsencode(path), *{
        "fchmodat": (0o600, flags), "fchownat": (-1, -1, flags), "utimensat": (None, flags),
        "linkat": (-100, top + "/b/new", flags), "unlinkat": (flags,)}[call])))


def attributes(path, **more):
    os.setxattr(path, "user.it", b"value", **more)
    told = [os.getxattr(path, "user.it", **more), sorted(os.listxattr(path, **more))]
    for act in (lambda: os.setxattr(path, "user.it", b"new", os.XATTR_CREATE, **more),
                lambda: os.setxattr(path, "user.none", b"new", os.XATTR_REPLACE, **more),
                lambda: os.getxattr(path, "user.none", **more)):
        try:
            told.append(act())
        except OSError as error:
            told.append(errno.errorcode[error.errno])
    os.removexattr(path, "user.it", **more)
    return told + os.listxattr(path, **more)


renewed(lambda: each("attributes", attributes))
renewed(lambda: each("attributes of links", lambda path: attributes(path, follow_symlinks=False)))
for name, value in (("user.big", b"v" * 60000), ("user.huge", b"v" * 65537), ("none", b""), ("", b""), ("user.", b""),
                    ("user." + "n" * 250, b"1"), ("user." + "n" * 251, b"1"), ("system.none", b""), ("security.none", b"v"),
                    ("trusted.it", b"v"), ("system.posix_acl_access", b"no acl"), ("user.empty", b"")):
    say("setxattr %s %d" % (name[:12], len(value)), os.setxattr, top + "/file", name, value)
    say("getxattr %s" % name[:12], os.getxattr, top + "/file", name)
    say("removexattr %s" % name[:12], os.removexattr, top + "/file", name)


def with_descriptor(place, flags=os.O_RDONLY):
    fd = os.open(at(place), flags)
    try:
        for label, act in (
            ("fchmod", lambda: os.fchmod(fd, 0o751)), ("fchown", lambda: os.fchown(fd, -1, 4242)),
            ("futimens", lambda: os.utime(fd, ns=(5, 6))), ("fsetxattr", lambda: os.setxattr(fd, "user.it", b"v")),
            ("fgetxattr", lambda: os.getxattr(fd, "user.it")), ("flistxattr", lambda: os.listxattr(fd)),
            ("fremovexattr", lambda: os.removexattr(fd, "user.it")), ("names", lambda: os.fstatvfs(fd).f_namemax),
            ("flag", lambda: os.fstatvfs(fd).f_flag), ("files", lambda: os.fstatvfs(fd).f_files > 0),
            ("pathconf", lambda: os.fpathconf(fd, "PC_NAME_MAX")),
            ("chown empty", lambda: c("fchownat", fd, "", -1, -1, 0x1000)),
            ("utimens empty", lambda: c("utimensat", fd, "", None, 0x1000)),
            ("utimens null", lambda: c("utimensat", fd, None, None, 0)),
            ("access empty", lambda: c("faccessat", fd, "", os.R_OK, 0x1000)),
            ("access empty write", lambda: c("faccessat", fd, "", os.W_OK, 0x1200)),
            ("link empty", lambda: c("linkat", fd, "", -100, top + "/b/empty", 0x1000)),
            ("link proc", lambda: c("linkat", -100, "/proc/self/fd/%d" % fd, -100, top + "/b/proc", 0x400)),
            ("chmod proc", lambda: os.chmod("/proc/self/fd/%d" % fd, 0o715)),
            ("readlink", lambda: c("readlinkat", fd, "", ctypes.create_string_buffer(99), 99)),
            ("ftruncate", lambda: os.ftruncate(fd, 2)),
        ):
            say("%s %o %s" % (place, flags, label), act)
    finally:
        os.close(fd)
    tree()


O_PATH = 0o10000000
for place, flags in (("file", os.O_RDONLY), ("file", os.O_RDWR), ("file", os.O_WRONLY), ("file", O_PATH), ("full", os.O_RDONLY),
                     ("full", O_PATH), ("tofile", O_PATH | os.O_NOFOLLOW), ("closed/file", os.O_RDONLY)):
    renewed(lambda: say("with %s %o" % (place, flags), with_descriptor, place, flags))


def by_descriptors():
    there, file = os.open(top, os.O_RDONLY), os.open(top + "/file", os.O_RDONLY)
    for label, act in (
        ("mkdir", lambda: os.mkdir("made", dir_fd=there)), ("mkdir on file", lambda: os.mkdir("made", dir_fd=file)),
        ("mkdir again", lambda: os.mkdir("made", dir_fd=there)), ("mkdir on none", lambda: os.mkdir("made", dir_fd=999)),
        ("rename", lambda: os.rename("file", "made/file", src_dir_fd=there, dst_dir_fd=there)),
        ("rename away", lambda: os.rename("made/file", top + "/b/file", src_dir_fd=there)),
        ("link", lambda: os.link("other", "made/other", src_dir_fd=there, dst_dir_fd=there)),
        ("symlink", lambda: os.symlink("x", "soft", dir_fd=there)), ("unlink", lambda: os.unlink("soft", dir_fd=there)),
        ("chmod", lambda: os.chmod("other", 0o600, dir_fd=there)), ("chown", lambda: os.chown("other", -1, -1, dir_fd=there)),
        ("utime", lambda: os.utime("other", ns=(1, 2), dir_fd=there)), ("fifo", lambda: os.mkfifo("p", dir_fd=there)),
        ("rmdir full", lambda: os.rmdir("full", dir_fd=there)), ("rmdir", lambda: os.rmdir("a", dir_fd=there)),
        ("unlink directory", lambda: os.unlink("b", dir_fd=there)), ("access", lambda: os.access("other", os.W_OK, dir_fd=there)),
        ("up", lambda: os.mkdir("../work/up2", dir_fd=there)), ("dot", lambda: os.rmdir(".", dir_fd=there)),
        ("up dots", lambda: os.rmdir("..", dir_fd=there)),
    ):
        say("at " + label, act)
    os.chdir(top + "/full")
    for label, act in (
        ("mkdir", lambda: os.mkdir("made")), ("rename", lambda: os.rename("file", "../renamed")),
        ("rename dot", lambda: os.rename(".", "../x")), ("rmdir dot", lambda: os.rmdir(".")),
        ("link", lambda: os.link("../renamed", "back")), ("unlink", lambda: os.unlink("back")),
        ("symlink", lambda: os.symlink("a", "b")), ("chmod", lambda: os.chmod(".", 0o711)),
        ("makedirs", lambda: os.makedirs("m/n/o")), ("removedirs", lambda: os.removedirs("m/n/o")),
        ("mkdtemp", lambda: os.path.dirname(tempfile.mkdtemp(dir="."))), ("utime", lambda: os.utime(".", ns=(1, 2))),
    ):
        say("cwd " + label, act)
    for it in os.listdir("."):
        if it.startswith("tmp"):
            os.rmdir(it)
    os.chdir("/")
    tree()


renewed(by_descriptors)
