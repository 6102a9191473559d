"""inotify(7) on files and directories: what is told of changes that another hand makes, when this asks for them ("$ …")."""
import ctypes, os, select, struct, sys
from transcript import say

libc = ctypes.CDLL(None, use_errno=True)
NAMES = {1: "ACCESS", 2: "MODIFY", 4: "ATTRIB", 8: "CLOSE_WRITE", 16: "CLOSE_NOWRITE", 32: "OPEN", 64: "MOVED_FROM", 128: "MOVED_TO",
         256: "CREATE", 512: "DELETE", 1024: "DELETE_SELF", 2048: "MOVE_SELF", 0x2000: "UNMOUNT", 0x4000: "OVERFLOW", 0x8000: "IGNORED", 1 << 30: "ISDIR"}
COMMON = 2 | 4 | 8 | 64 | 128 | 256 | 512 | 1024 | 2048
ALL = 0xfff


def made(flags=os.O_NONBLOCK):
    fd = libc.inotify_init1(flags)
    watched(fd, top + "/marks", 256)
    return fd


def watched(fd, path, mask=COMMON):
    wd = libc.inotify_add_watch(fd, path.encode(), mask)
    if wd < 0:
        raise OSError(ctypes.get_errno(), "")
    return wd


def told(fd, mark):
    """All that is told before the mark, which was made after the change."""
    lines, cookies = [], {0: 0}
    while select.select([fd], [], [], 20)[0]:
        data, at = os.read(fd, 65536), 0
        while at < len(data):
            wd, mask, cookie, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
            if wd == 1:
                if name == mark:
                    return lines
                at += 16 + length
                continue
            cookie = cookies.setdefault(cookie, len(cookies))
            lines.append("%d %s %d %s" % (wd, "|".join(NAMES[bit] for bit in NAMES if mask & bit), cookie, name))
            at += 16 + length
    return lines + ["no mark"]


def changed(fd, script):
    global marks
    marks += 1
    print("$ %s; touch %s/marks/%d" % (script, top, marks), flush=True)
    sys.stdin.readline()
    for line in told(fd, str(marks)):
        print("  " + line)


top, marks = sys.argv[1], 0
fd = made()
say("watch", watched, fd, top + "/tree")
say("same", watched, fd, top + "/tree/../tree")
say("link", watched, fd, top + "/link")
say("nothing", watched, fd, top + "/nothing")
say("only directory", watched, fd, top + "/tree/file", COMMON | 0x1000000)
say("no mask", watched, fd, top + "/tree", 0)
say("bad fd", watched, 999, top + "/tree")
say("no inotify", watched, 0, top + "/tree")
t = top + "/tree"
changed(fd, "touch %s/new" % t)
changed(fd, "echo more >>%s/file" % t)
changed(fd, "echo other >%s/file" % t)
changed(fd, "chmod 600 %s/file" % t)
changed(fd, "mkdir %s/d; rmdir %s/d" % (t, t))
changed(fd, "mv %s/file %s/file2" % (t, t))
changed(fd, "mv %s/file2 %s/outside" % (t, top))
changed(fd, "mv %s/outside %s/file" % (top, t))
changed(fd, "cp %s/file %s/copy; mv %s/copy %s/file" % (t, t, t, t))
changed(fd, "ln -s file %s/sym; rm %s/sym" % (t, t))
changed(fd, "mv %s/sub %s/sub2; mv %s/sub2 %s/sub" % (t, t, t, t))
changed(fd, "cat %s/file; ls %s" % (t, t))
say("below", watched, fd, t + "/sub")
say("file", watched, fd, t + "/sub/inner")
changed(fd, "echo x >>%s/sub/inner" % t)
changed(fd, "rm %s/sub/inner" % t)
changed(fd, "mv %s/sub %s/moved; touch %s/moved/x" % (t, t, t))
changed(fd, "rm -r %s/moved" % t)
alone = made()
say("file alone", watched, alone, top + "/alone")
changed(alone, "echo x >>%s/alone" % top)
changed(alone, "chmod 600 %s/alone" % top)
changed(alone, "mv %s/alone %s/elsewhere; echo y >>%s/elsewhere" % (top, top, top))
changed(alone, "rm %s/elsewhere" % top)
every = made()
say("everything", watched, every, t, ALL)
changed(every, "echo x >%s/file" % t)
changed(every, "touch %s/touched" % t)
changed(every, "rm %s/touched" % t)
say("remove", lambda: libc.inotify_rm_watch(every, 2))
changed(every, "touch %s/file" % t)
once = made()
say("once", watched, once, t, 2 | 1 << 31)
changed(once, "echo a >>%s/file; echo b >>%s/file" % (t, t))
copy = os.dup(fd)
if os.fork() == 0:
    changed(copy, "touch %s/forked" % t)
    os._exit(0)
os.wait()
marks += 1
changed(fd, "rm -r %s" % t)
