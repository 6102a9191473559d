"""What all the Python programs say: one line for each act, its result or the name of its errno."""
import errno, hashlib, os, socket, sys, time

# Pauses, in which something is to arrive or not to, take so many times as long.
PATIENCE = int(os.environ.get("PATIENCE", 1))
if PATIENCE > 1:
    pause, limit = time.sleep, socket.socket.settimeout
    time.sleep = lambda seconds: pause(seconds * PATIENCE)
    socket.socket.settimeout = lambda it, seconds: limit(it, seconds and seconds * PATIENCE)


def plain(value):
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value) > 80:
        return "%d bytes %s" % (len(value), hashlib.sha1(value).hexdigest()[:12])
    if isinstance(value, os.stat_result):
        names = "st_mode st_ino st_dev st_nlink st_uid st_gid st_size st_blocks st_blksize st_rdev st_atime_ns st_mtime_ns st_ctime_ns"
        return " ".join("%s=%s" % (name[3:], getattr(value, name)) for name in names.split())
    return repr(value)


def say(label, act, *args, **more):
    try:
        told = plain(act(*args, **more))
    except socket.gaierror as error:
        told = "EAI %s" % error.errno
    except socket.herror as error:
        told = "H %s" % error.errno
    except OSError as error:
        told = errno.errorcode.get(error.errno, str(error.errno)) if error.errno else "%s %s" % (type(error).__name__, error)
    except Exception as error:
        told = "%s %s" % (type(error).__name__, error)
    print("%s: %s" % (label, told), flush=True)
