"""Every path of the tree by every call that takes one, with every flag that reads."""
import os
from transcript import say

P = ["small.txt", "empty", "modes", "sub", "sub/", "sub/.", "sub/deep/..", "sub/deep/../deep/file", "small.txt/", "small.txt/x",
     "small.txt/..", "small.txt/.", "nothing", "nothing/", "nothing/x", "absolute", "relative", "relative/", "around", "dangling",
     "dangling/", "loop1", "loop1/x", "dirlink", "dirlink/", "dirlink/deep/file", "dirlink/../small.txt", "absdir/deep/../.hidden",
     "beyond", "chain", "here/here/small.txt", "dotted", "tohost", "slashed", "hard", "fifo", "null", "unreadable", "closed",
     "closed/file", "listable", "listable/file", "passable", "passable/file", "grouped", "owned", ".", "./", "//small.txt",
     "sub//deep///file", "a" * 255, "a" * 256, "names/" + "0" * 255, "x/" * 2100, "names/new\nline", "names/ space", "names/*star[1]",
     "names/ünïcode", b"names/caf\xe9", "../data/small.txt", "../../../data/empty", "sub/../../data/empty"]
FLAGS = {"RD": os.O_RDONLY, "DIR": os.O_DIRECTORY, "NOFOLLOW": os.O_NOFOLLOW, "PATH": os.O_PATH,
         "PATH_NOFOLLOW": os.O_PATH | os.O_NOFOLLOW, "DIR_NOFOLLOW": os.O_DIRECTORY | os.O_NOFOLLOW,
         "NONBLOCK": os.O_NONBLOCK, "PATH_DIR": os.O_PATH | os.O_DIRECTORY, "APPEND": os.O_APPEND, "NOCTTY_SYNC": os.O_NOCTTY | os.O_SYNC,
         "NOATIME": os.O_NOATIME}


def opened(path, flags, dir_fd=None):
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        st = os.fstat(fd)
        try:
            told = os.read(fd, 20)
        except OSError as error:
            told = os.strerror(error.errno)
        return "%o %d %d %r" % (st.st_mode, st.st_ino, st.st_size, told)
    finally:
        os.close(fd)


def fopened(path):
    with open(path, "rb") as it:
        return it.read()


base = os.open("/data", os.O_RDONLY)
sub = os.open("/data/dirlink", os.O_PATH)
for given in P:
    name = os.fsencode(given)
    label = repr(name if len(name) < 60 else name[:20] + b"...%d" % len(name))
    path = b"/data/" + name
    say("stat " + label, os.stat, path)
    say("lstat " + label, os.lstat, path)
    say("readlink " + label, os.readlink, path)
    say("realpath " + label, os.path.realpath, path, strict=True)
    for mode in (os.F_OK, os.R_OK, os.X_OK, os.R_OK | os.X_OK):
        say("access %d %s" % (mode, label), os.access, path, mode)
    say("faccessat " + label, os.access, name, os.R_OK, dir_fd=base, effective_ids=True, follow_symlinks=False)
    say("fstatat " + label, os.stat, name, dir_fd=base, follow_symlinks=False)
    say("readlinkat " + label, os.readlink, name, dir_fd=base)
    say("listdir " + label, lambda: sorted(os.listdir(path))[:6])
    if name == b"fifo":
        continue
    say("fopen " + label, fopened, path)
    for flag, value in FLAGS.items():
        if flag != "APPEND" or name[:3] != b"nul":
            say("open %s %s" % (flag, label), opened, path, value)
    say("openat " + label, opened, name, os.O_RDONLY, base)
    say("openat sub " + label, opened, b"../" + name, os.O_RDONLY, sub)
for bad in ("", b"\xff", "/data/small.txt\0"):
    say("stat %r" % bad, os.stat, bad)
    say("open %r" % bad, os.open, bad, os.O_RDONLY)
say("at a file", os.open, "x", os.O_RDONLY, dir_fd=os.open("/data/small.txt", os.O_RDONLY))
say("stat at a file", os.stat, "x", dir_fd=os.open("/data/small.txt", os.O_RDONLY))
say("at nothing", os.open, "small.txt", os.O_RDONLY, dir_fd=999)
for place in ("/data", "/data/", "/data/..", "/data/../data", "/nothing", "/nothing/x", "/app/secret", "/var", "/srv"):
    say("stat " + place, os.stat, place)
    say("list " + place, lambda: sorted(os.listdir(place)))
say("chdir", os.chdir, "/data/small.txt")
