"""Datagrams to Unix sockets: what a log server hears, and what is said where there is none."""
import logging.handlers, subprocess


def datagrams():
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


connected = datagrams()
say("connect", connected.connect, "/run/log")
say("send", connected.send, b"connected")
say("send nothing", connected.send, b"")
say("send more", connected.sendmsg, [b"in ", b"parts"])
say("big", connected.send, b"x" * 100000)
say("too big", connected.send, b"x" * 10000000)
free = datagrams()
say("sendto", free.sendto, b"by name", "/run/log")
say("sendto again", free.sendto, b"by name again", "/run/log")
say("sendmsg", free.sendmsg, [b"by name, in ", b"parts"], [], 0, "/run/log")
say("abstract", free.sendto, b"abstract", "\0mirrord-log")
say("missing", free.sendto, b"x", "/run/missing")
say("nobody", free.sendto, b"x", "/run/nobody")
say("a stream", free.sendto, b"x", "/run/stream")
say("a file", datagrams().connect, "/etc/passwd")
say("not there", datagrams().connect, "/run/missing")
say("wrong", free.send, b"x")
child = "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/log'); s.send(b'of a child')"
say("child", lambda: subprocess.run([sys.executable, "-c", child]).returncode)
handler = logging.handlers.SysLogHandler("/run/log")
handler.emit(logging.makeLogRecord({"msg": "by logging", "levelno": logging.INFO, "levelname": "INFO"}))
say("logger", lambda: subprocess.run(["logger", "--socket-errors=on", "-u", "/run/log", "-t", "me", "--rfc5424=notime,notq,nohost", "by logger"]).returncode)
say("the last", connected.send, b"the last")
