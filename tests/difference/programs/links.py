"""Links of /proc that lead to files and directories of the target, and what lies behind them."""
import ctypes, os, subprocess
from transcript import say

SHELL = """pwd; pwd -P; readlink /proc/self/cwd; ls /proc/self/cwd/; ls -l /proc/self/cwd | sed 's/.*cwd//'; readlink -f /proc/$$/cwd
cd /proc/self/cwd && pwd -P; cat /proc/self/cwd/deep/file; cat /proc/self/fd/0 <deep/file; ls -l /proc/self/fd/0 <deep/file | sed 's/.*->//'
readlink -f /dev/stdin <deep/file; stat -L -c '%n %i %F %s' /dev/stdin <deep/file; wc -c /dev/stdin <deep/file; test -f /dev/stdin <deep/file && echo file
exec 7<deep; ls /proc/self/fd/7/ /dev/fd/7/deeper; readlink /proc/$$/fd/7; find -L /proc/self/fd/7 -type f; cd -P /dev/fd/7/.. && pwd"""

libc = ctypes.CDLL(None, use_errno=True)
libc.realpath.restype = libc.canonicalize_file_name.restype = ctypes.c_char_p


def real(path):
    return libc.realpath(path.encode(), ctypes.create_string_buffer(4097))


def short(path, room):
    into = ctypes.create_string_buffer(room)
    return libc.readlink(path.encode(), into, room), into.raw


def through(link):
    say("readlink " + kind, os.readlink, link)
    say("short " + kind, lambda: [short(link, room) for room in (1, 3, 8, 12)])
    say("realpath " + kind, os.path.realpath, link, strict=True)
    say("libc realpath " + kind, real, link)
    say("stat " + kind, os.stat, link)
    say("lstat " + kind, lambda: os.lstat(link).st_mode)
    say("raw stat " + kind, lambda: libc.syscall(4, link.encode(), ctypes.create_string_buffer(400)))
    say("access " + kind, lambda: [os.access(link, mode) for mode in (os.F_OK, os.R_OK)])
    say("statvfs " + kind, lambda: os.statvfs(link).f_namemax)
    say("list " + kind, lambda: sorted(os.listdir(link)))
    say("listxattr " + kind, os.listxattr, link)
    say("open " + kind, lambda: open(link).read(5))
    say("opened " + kind, lambda: os.fstat(os.open(link, os.O_RDONLY)).st_ino)
    say("nofollow " + kind, os.open, link, os.O_RDONLY | os.O_NOFOLLOW)
    for rest in ("/", "/deep", "/deep/file", "/..", "/../small.txt", "/nothing", "/deep/../deep/"):
        say("stat %s %s" % (rest, kind), lambda: os.stat(link + rest).st_ino)
        say("lstat %s %s" % (rest, kind), lambda: os.lstat(link + rest).st_ino)
        say("realpath %s %s" % (rest, kind), real, link + rest)
        say("list %s %s" % (rest, kind), lambda: sorted(os.listdir(link + rest))[:9])
        say("open %s %s" % (rest, kind), lambda: open(link + rest).read(5))
    say("same " + kind, lambda: os.path.samefile(link, path))


for path in ("/data/small.txt", "/data/over", "/data/empty", "/data/sub", "/data/dirlink", "/data/chain"):
    for flags in (os.O_RDONLY, os.O_PATH):
        fd = os.open(path, flags)
        for directory in ("/proc/self/fd/%d", "/dev/fd/%d", "/proc/thread-self/fd/%d", "/proc/%d/fd/%%d" % os.getpid()):
            kind = "%s %d %s" % (path, flags, directory.replace(str(os.getpid()), "PID"))
            through(directory % fd)
        os.close(fd)
say("number of no file", os.readlink, "/proc/self/fd/999")
for path in ("/data/sub", "/data/dirlink"):
    os.chdir(path)
    for link in ("/proc/self/cwd", "/proc/thread-self/cwd", "/proc/%d/cwd" % os.getpid()):
        kind = "cwd %s %s" % (path, link.replace(str(os.getpid()), "PID"))
        through(link)
    print(subprocess.run(["sh", "-c", SHELL], capture_output=True).stdout.decode())
    say("stdin", lambda: subprocess.run(["readlink", "-f", "/dev/stdin"], stdin=open("/data/chain"), capture_output=True).stdout)
os.chdir("/")
say("here", os.readlink, "/proc/self/cwd")
