"""Children in every way: whatever they are given for an environment, they are in the target's context."""
import ctypes, multiprocessing, os, signal, socket, subprocess, sys, threading, time
from transcript import say

CAT = ["/bin/cat", "/app/config.json"]


def out(*args, **more):
    it = subprocess.run(*args, capture_output=True, **more)
    return it.returncode, it.stdout, it.stderr


def spawned(spawn, *args):
    r, w = os.pipe()
    child = spawn(*args, file_actions=[(os.POSIX_SPAWN_DUP2, w, 1)])
    os.close(w)
    told = b"".join(iter(lambda: os.read(r, 1000), b""))
    return told, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def forked(act):
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(w, 1)
        try:
            act()
        finally:
            os._exit(77)
    os.close(w)
    told = b"".join(iter(lambda: os.read(r, 1000), b""))
    return told, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


say("variables", lambda: {name: os.environ.get(name) for name in ("GREETING", "DATABASE_URL", "HOSTNAME", "HOME", "PATH", "LANG")})
say("run", out, CAT)
say("env={}", out, CAT, env={})
say("env own", out, ["/usr/bin/printenv", "A", "B"], env={"A": "1", "B": "2"})
say("env -i", out, ["env", "-i", *CAT])
say("shell", out, "cat /app/config.json | tr a-z A-Z; hostname; echo $GREETING", shell=True)
say("here", out, ["sh", "-c", "cat <<X\n$(cat /etc/hostname)\nX\nread a < /data/small.txt; echo $a; test -f /data/small.txt && echo yes; cd /data 2>/dev/null; [ -d /data/sub ] && echo dir"])
say("bash", out, ["bash", "-c", "mapfile -t x < /data/small.txt; echo ${#x[@]}; echo /data/s*; for f in /data/sub/*; do echo $f; done; exec 5</data/small.txt; read -u 5 a; echo $a; diff <(cat /data/small.txt) /data/hard && echo same; [[ /data/small.txt -ef /data/hard ]] && echo ef"])
say("system", lambda: os.waitstatus_to_exitcode(os.system("test $(cat /etc/hostname) = sandbox-7d4b9 && exit 3")))
AS_NOBODY = ["setpriv", "--reuid", "4241", "--regid", "4241", "--clear-groups"]
say("another user", out, AS_NOBODY + CAT)
say("another user env -i", out, ["env", "-i", *AS_NOBODY, *CAT])
say("another user's children", out, AS_NOBODY + ["sh", "-c", "id -u; cd /data/sub && pwd; cat deep/file; (cd deep; pwd); hostname"])
say("another user, in a directory", out, AS_NOBODY + ["sh", "-c", "pwd; ls"], cwd="/data/names")
say("daemon", out, ["sh", "-c", "(setsid sh -c 'exec >/tmp/daemon-said 2>&1 </dev/null; cat /app/config.json; cd /data && pwd' &); sleep ${PATIENCE:-1}; cat /tmp/daemon-said; rm /tmp/daemon-said"])
say("popen", lambda: os.popen("hostname").read())
say("posix_spawn", spawned, os.posix_spawn, CAT[0], CAT, {})
say("posix_spawnp", spawned, os.posix_spawnp, "cat", CAT, {"X": "1"})
for path in ("/data/small.txt", "/data/nothing", "/data/closed/file", "/etc/hostname"):
    say("spawn open %s" % path, lambda: os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(
        "/bin/grep", ["grep", "-q", "line"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, path, os.O_RDONLY, 0)]), 0)[1]))
say("spawn missing", os.posix_spawn, "/bin/nothing", ["x"], {})
say("execv", forked, lambda: os.execv(CAT[0], CAT))
say("execve", forked, lambda: os.execve(CAT[0], CAT, {}))
say("execvp", forked, lambda: os.execvp("cat", CAT))
say("execvpe", forked, lambda: os.execvpe("cat", CAT, {"PATH": "/bin"}))
say("execl", forked, lambda: os.execl(*CAT[:1], *CAT))
say("exec missing", lambda: os.execv("/bin/nothing", ["x"]))
say("exec directory", lambda: os.execv("/usr", ["x"]))
say("fexecve", forked, lambda: os.execve(os.open("/bin/cat", os.O_RDONLY), CAT, {}))
say("libc execl", forked, lambda: ctypes.CDLL(None).execl(b"/bin/cat", b"cat", b"/app/config.json", None))
say("libc system", lambda: ctypes.CDLL(None).system(b"test -f /app/config.json"))
say("children of children", out, ["sh", "-c", "sh -c 'env -i sh -c \"env -i cat /app/secret/token; hostname\"'"])
say("xargs", out, ["sh", "-c", "ls /data/many | head -300 | sed s,^,/data/many/, | xargs -n 60 -P 4 stat -c %s | sort | uniq -c"])
say("preexec", out, CAT, preexec_fn=lambda: None, close_fds=True)
say("close_fds", out, ["sh", "-c", "for n in 3 4 5 6 7 8 9; do eval \"exec $n>&-\"; done; cat /app/config.json"])
say("setsid", out, CAT, start_new_session=True)
say("killed", out, ["sh", "-c", "kill -9 $$"])
say("trap", out, ["sh", "-c", "trap 'cat /app/config.json' TERM; kill -TERM $$"])
say("no stdin", out, ["sh", "-c", "exec <&-; cat /app/config.json; cat /data/small.txt"])
say("wait", lambda: (os.wait(), None)[1])


def closer():
    os.closerange(3, 1000)
    for _ in range(3):
        os.write(1, open("/app/config.json", "rb").read())
    os.write(1, socket.gethostname().encode())
    os._exit(5)


say("closes all", forked, closer)


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(1, open("/app/config.json", "rb").read())
        os._exit(0)
    os.wait()
    os._exit(0)


say("daemon", forked, daemon)


def threads_and_forks():
    stop, wrong = [], []

    def opening():
        while not stop:
            if open("/data/small.txt").read(5) != "first":
                wrong.append(1)
    threads = [threading.Thread(target=opening) for _ in range(4)]
    [it.start() for it in threads]
    told = set()
    for _ in range(10):
        told.add(forked(lambda: (os.write(1, open("/data/sub/deep/file", "rb").read()), os._exit(4))))
        told.add(forked(lambda: os.execve(CAT[0], ["cat", "/data/sub/deep/file"], {})))
    stop.append(1)
    [it.join() for it in threads]
    return sorted(told), wrong


say("threads and forks", threads_and_forks)


def pooled(path):
    return len(open(path, "rb").read()), socket.gethostname()


with multiprocessing.get_context("fork").Pool(2) as pool:
    say("pool", pool.map, pooled, ["/data/small.txt", "/data/over"] * 2)
say("limits", lambda: __import__("resource").getrlimit(7)[1] > 0)
say("signals ignored", lambda: signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN)
say("sigpipe", out, ["sh", "-c", "cat /data/big | head -c 3 | wc -c"])
say("uid", lambda: (os.getuid(), os.getgid(), os.getcwd(), os.getpid() == os.getpgrp() or os.getppid() > 0))
