"""Working directories in the tree: into them and out of them, what relative paths mean there, who inherits them."""
import glob, os, subprocess, sys
from pathlib import Path
from transcript import say

here = os.getcwd()


def inside(label, where, act):
    def there():
        os.chdir(where)
        try:
            return act()
        finally:
            os.chdir(here)
    say("%s in %s" % (label, where), there)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    return done.returncode, done.stdout, done.stderr


def up_and_down():
    names = []
    for step in ("sub", "deep", "..", "../names", ".", "../sub/deep/..", "//data//sub/./deep/", "/data"):
        os.chdir(step)
        names.append(os.getcwd())
    return names


def back_by_descriptor():
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir("deep")
    names = [os.getcwd()]
    os.fchdir(fd)
    os.close(fd)
    return names + [os.getcwd(), os.listdir()]


def forked():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.chdir("..")
        os.write(writer, ("%s %s" % (os.getcwd(), sorted(os.listdir("."))[:3])).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reader, 1000), os.getcwd()


PLACES = ("/data", "/data/sub", "/data/sub/deep", "/data/dirlink", "/data/absdir", "/data/here", "/data/names", "/data/emptydir",
          "/data/passable", "/data/listable", "/data/closed", "/data/small.txt", "/data/small.txt/", "/data/nothing", "/data/dangling",
          "/data/loop1", "/data/fifo", "/data/relative", "/data/dirlink/..", "/data/sub/../names/", "", "x" * 300)
for place in PLACES:
    inside("getcwd", place, os.getcwd)
    inside("getcwdb", place, os.getcwdb)
    inside("listdir", place, lambda: sorted(os.listdir()))
    inside("listdir .", place, lambda: sorted(os.listdir(".")))
    inside("stat .", place, lambda: os.stat("."))
    inside("stat ..", place, lambda: os.stat(".."))
    inside("realpath", place, lambda: os.path.realpath("."))
    inside("exists", place, lambda: [os.path.exists(it) for it in ("file", "deep/file", "../small.txt", "../../data", "nothing")])
    inside("/proc/self/cwd", place, lambda: os.readlink("/proc/self/cwd"))
    inside("glob", place, lambda: sorted(glob.glob("*"))[:9])
    inside("walk", place, lambda: sorted(os.walk("."))[:9])
    inside("pwd", place, lambda: run("pwd"))
    inside("pwd -P", place, lambda: run("/bin/pwd", "-P"))
    inside("sh pwd", place, lambda: run("sh", "-c", "pwd; echo $PWD; cd .. && pwd; cd - >/dev/null; pwd -P"))
    inside("bash pwd", place, lambda: run("bash", "-c", "pwd; echo $PWD; cd .. && pwd; cd - >/dev/null; pwd -P"))
    inside("perl", place, lambda: run("perl", "-MCwd", "-e", "print getcwd, '|', Cwd::abs_path('.'), '|', Cwd::fastcwd"))
    say("subprocess cwd=%s" % place, lambda: run("/bin/pwd", cwd=place))
    inside("ls -la", place, lambda: run("ls", "-la", "--time-style=full-iso"))
inside("names", "/data", up_and_down)
inside("fchdir", "/data/sub", back_by_descriptor)
inside("fork", "/data/sub", forked)
inside("open", "/data", lambda: open("small.txt").read())
inside("open up", "/data/sub/deep", lambda: open("../../small.txt").read())
inside("open far up", "/data/sub/deep", lambda: open("../../../../../../data/small.txt").read())
inside("link", "/data", lambda: [os.readlink(it) for it in ("relative", "sub/../dirlink", "./loop1")])
inside("lstat", "/data", lambda: [os.lstat(it).st_ino == os.lstat("/data/" + it).st_ino for it in ("relative", "sub", "dirlink")])
inside("access", "/data", lambda: [os.access(it, mode) for it in ("small.txt", "unreadable", "closed") for mode in (0, 1, 4)])
inside("scandir", "/data/names", lambda: sorted((it.name, it.is_file(), it.inode()) for it in os.scandir()))
inside("bytes", b"/data/names", lambda: sorted(os.listdir(b".")))
inside("rglob", "/data/sub", lambda: sorted(map(str, Path(".").rglob("*"))))
inside("resolve", "/data/dirlink", lambda: str(Path(".").resolve()))
inside("dup", "/data/sub", lambda: os.stat(".", dir_fd=os.open(".", os.O_RDONLY)).st_ino == os.stat("/data/sub").st_ino)
inside("python", "/data/sub", lambda: run(sys.executable, "-c", "import os; print(os.getcwd(), sorted(os.listdir()))"))
inside("exec missing", "/data/sub", lambda: run("./file"))
inside("find", "/data/sub", lambda: run("find", ".", "-printf", "%p %y %i\n"))
inside("find -execdir", "/data/sub", lambda: run("find", ".", "-type", "f", "-execdir", "pwd", ";"))
inside("tar", "/data", lambda: run("sh", "-c", "tar -cf - sub names | tar -tvf -"))
say("tar -C", lambda: run("sh", "-c", "tar -C /data -cf - sub -C sub deep | tar -tvf -"))
inside("du", "/data", lambda: run("du", "-a", "sub", "names"))
inside("grep", "/data", lambda: run("grep", "-rn", "line", ".", "--include=*.txt"))
inside("xargs", "/data", lambda: run("sh", "-c", "ls *.txt | xargs wc -c"))
inside("bash", "/data", lambda: run("bash", "-c", "shopt -s globstar; echo sub/**; pushd sub; (cd deep; pwd); popd; cd -P dirlink; pwd; cd -L ..; pwd"))
say("env -C", lambda: run("env", "-C", "/data/sub", "sh", "-c", "pwd; cat deep/file"))
