/** Programs that change a tree of the target in mode write: what comes of it there, and what the program sees at once. */
import assert from "node:assert/strict";
import { Whole } from "../support/whole.ts";

const WRITE = { fsMode: 3 };
/** The clock stands still: what is known of the target does not age. */
const STILL = () => 0;

async function start(files: Record<string, string>, now?: () => number): Promise<Whole> {
  return await Whole.start(files, now, WRITE);
}

async function names(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
}

Deno.test("everyday tools change the target's tree", async () => {
  await using whole = await start({ "/data/file": "one", "/data/sub/x": "y" });
  const script = `set -e; cd /; umask 027
mkdir /data/new; mv /data/file /data/new/file; ln -s file /data/new/link; ln /data/new/file /data/new/hard
chmod 600 /data/new/hard; touch -d '2001-02-03 04:05:06.123456789 UTC' /data/new/file
touch -h -d '2001-02-03 04:05:06.5 UTC' /data/new/link; mkfifo -m 640 /data/new/fifo
stat -c '%n %A %h %y' /data/new/*; readlink /data/new/link; rm -rf /data/sub; rmdir /data/sub || ls /data`;
  const { code, stdout, stderr } = await whole.run(["bash", "-c", script]);
  assert.deepEqual([code, stderr.trim()], [0, "rmdir: failed to remove '/data/sub': No such file or directory"]);
  assert.deepEqual(stdout.replaceAll(/fifo (\S+) 1 .*/g, "fifo $1").split("\n"), [
    "/data/new/fifo prw-r-----",
    "/data/new/file -rw------- 2 2001-02-03 04:05:06.123456789 +0000",
    "/data/new/hard -rw------- 2 2001-02-03 04:05:06.123456789 +0000",
    "/data/new/link lrwxrwxrwx 1 2001-02-03 04:05:06.500000000 +0000",
    "file",
    "new",
    "",
  ]);
  assert.deepEqual(await names(`${whole.tree}/data/new`), ["fifo", "file", "hard", "link"]);
});

Deno.test("mv from the target to here copies, because the two are different file systems to it", async () => {
  await using whole = await start({ "/data/file": "one" });
  const { stdout, stderr } = await whole.run([
    "sh",
    "-c",
    "mv /data/file /tmp/moved-$$ && cat /tmp/moved-$$; rm /tmp/moved-$$",
  ]);
  assert.deepEqual([stdout, stderr], ["one", ""]);
  assert.deepEqual(await names(`${whole.tree}/data`), []);
});

/** Each change is followed by questions whose answers were known before it. */
const SEEN_AT_ONCE = `import os, stat
def names(): return sorted(os.listdir("/data"))
def look(name):
    try:
        it = os.lstat("/data/" + name)
        return (stat.filemode(it.st_mode), it.st_nlink, it.st_mtime_ns)
    except OSError as error:
        return error.strerror
names(); look("file"); look("none")
os.mkdir("/data/none"); print(look("none")[0], names())
os.rename("/data/none", "/data/moved"); print(look("none"), look("moved")[0], names())
os.link("/data/file", "/data/hard"); print(look("file")[1], look("hard")[1])
os.chmod("/data/linked/file", 0o600); print(look("file")[0], look("hard")[0])
os.utime("/data/hard", ns=(1, 2)); print(look("file")[2])
os.unlink("/data/file"); print(look("file"), look("hard")[1], names())
os.symlink("x", "/data/soft"); print(look("soft")[0], os.readlink("/data/soft"))
os.rmdir("/data/moved"); print(look("moved"), names())
`;

Deno.test("a program sees what it has changed at once, by whatever name, though the clock stands still", async () => {
  await using whole = await start({ "/data/file": "one", "/data/other": "" }, STILL);
  await Deno.symlink(".", `${whole.tree}/data/linked`);
  const { stdout, stderr } = await whole.run(["/usr/bin/python3", "-S", "-c", SEEN_AT_ONCE]);
  assert.equal(stderr, "");
  assert.deepEqual(stdout.trim().split("\n"), [
    "drwxr-xr-x ['file', 'linked', 'none', 'other']",
    "No such file or directory drwxr-xr-x ['file', 'linked', 'moved', 'other']",
    "2 2",
    "-rw------- -rw-------",
    "2",
    "No such file or directory 1 ['hard', 'linked', 'moved', 'other']",
    "lrwxrwxrwx x",
    "No such file or directory ['hard', 'linked', 'other', 'soft']",
  ]);
});

Deno.test("fstat() of an open file knows what the program has just changed of it, rewinddir() what of a directory", async () => {
  await using whole = await start({ "/data/file": "one", "/data/sub/x": "y" });
  const script = `import ctypes, os, stat
fd = os.open("/data/file", os.O_RDONLY)
def look(): it = os.fstat(fd); return (stat.filemode(it.st_mode), it.st_nlink, it.st_mtime_ns)
os.fchmod(fd, 0o600); print(look())
os.utime(fd, ns=(5, 7)); print(look())
os.link("/data/file", "/data/other"); print(look())
libc = ctypes.CDLL(None)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
dir = ctypes.c_void_p(libc.opendir(b"/data/sub"))
def names():
    found = []
    while entry := libc.readdir(dir): found.append(ctypes.string_at(entry + 19).decode())
    return sorted(found)
print(names())
os.unlink("/data/sub/x"); os.mkdir("/data/sub/new"); print(names())
libc.rewinddir(dir); print(names(), names())
os.rmdir("/data/sub/new"); os.rmdir("/data/sub"); libc.rewinddir(dir); print(len(names()) <= 3, libc.closedir(dir))
`;
  const { code, stdout, stderr } = await whole.run(["python3", "-c", script]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(stdout.replace(/(?<=^[^\n]*, )\d{9,}/, "T").split("\n"), [
    "('-rw-------', 1, T)",
    "('-rw-------', 1, 7)",
    "('-rw-------', 2, 7)",
    "['.', '..', 'x']",
    "[]",
    "['.', '..', 'new'] []",
    "True 0",
    "",
  ]);
});

Deno.test("what one process of the run changes, another sees at once", async () => {
  await using whole = await start({ "/data/file": "one" }, STILL);
  const script = `import os, subprocess
os.listdir("/data"); os.path.exists("/data/made")
subprocess.run(["mkdir", "/data/made"], check=True)
print(os.path.exists("/data/made"), os.listdir("/data/made"))`;
  const { stdout, stderr } = await whole.run(["/usr/bin/python3", "-S", "-c", script]);
  assert.deepEqual([stdout, stderr], ["True []\n", ""]);
});

Deno.test("each change is one message", async () => {
  await using whole = await start({ "/data/file": "one" }, STILL);
  const script = `import os
os.mkdir("/data/d"); os.rename("/data/file", "/data/d/f"); os.link("/data/d/f", "/data/h"); os.symlink("h", "/data/s")
os.chmod("/data/h", 0o600); os.chown("/data/h", -1, -1); os.utime("/data/h"); os.truncate("/data/h", 1)
os.mkfifo("/data/p"); os.unlink("/data/p"); os.rmdir("/data/d") if False else os.unlink("/data/d/f"); os.rmdir("/data/d")`;
  const { stderr, messages } = await whole.run(["/usr/bin/python3", "-S", "-c", script]);
  assert.equal(stderr, "");
  assert.deepEqual(messages, [
    ...["MakeNode", "Rename", "Link", "Symlink", "SetMode", "SetOwner", "SetTimes", "Truncate"],
    ...["MakeNode", "Remove", "Remove", "Remove"],
  ]);
});

Deno.test("an open file is meant by its descriptor, also when the program has moved it or a directory above", async () => {
  await using whole = await start({ "/data/d/file": "one", "/data/d/other": "two" }, STILL);
  const script = `import os
fd, dir = os.open("/data/d/file", os.O_RDONLY), os.open("/data/d", os.O_RDONLY)
os.rename("/data/d/file", "/data/d/moved"); os.rename("/data/d", "/data/e"); os.symlink("moved", "/data/e/file")
os.fchmod(fd, 0o611); os.utime(fd, ns=(5, 6)); os.chown(fd, -1, -1); os.fchmod(dir, 0o711)
os.setxattr(fd, "user.it", b"v"); print(os.getxattr("/data/e/moved", "user.it"), os.listxattr(fd))
print(os.fstatvfs(fd).f_namemax, os.access("/data/e/moved", os.R_OK))
os.link("/proc/self/fd/%d" % fd, "linked", dst_dir_fd=os.open("/data", os.O_RDONLY))
os.unlink("/data/e/moved")
try: os.fchmod(fd, 0o600)
except OSError as error: print(error.strerror)`;
  const { stdout, stderr } = await whole.run(["/usr/bin/python3", "-S", "-c", script]);
  assert.deepEqual([stderr, stdout], ["", "b'v' ['user.it']\n255 True\nStale file handle\n"]);
  const { mode, mtime } = await Deno.stat(`${whole.tree}/data/linked`);
  assert.deepEqual([mode! & 0o777, mtime!.getTime()], [0o611, 0]);
  assert.equal((await Deno.stat(`${whole.tree}/data/e`)).mode! & 0o777, 0o711);
});

Deno.test("names of two paths are relative to descriptors and to a working directory of the target", async () => {
  await using whole = await start({ "/data/d/file": "one" });
  const script = `import os, tempfile
os.chdir("/data/d"); os.rename("file", "renamed"); os.link("renamed", "../linked"); os.symlink("x", "soft")
fd = os.open("/data", os.O_RDONLY)
os.rename("linked", "back", src_dir_fd=fd, dst_dir_fd=os.open(".", os.O_RDONLY))
os.mkdir("new", dir_fd=fd); os.rmdir("new", dir_fd=fd); os.unlink("soft"); os.makedirs("a/b/c")
print(sorted(os.listdir(".")), os.path.basename(tempfile.mkdtemp(dir=".", prefix="t-"))[:2])`;
  const { stdout, stderr } = await whole.run(["/usr/bin/python3", "-S", "-c", script]);
  assert.deepEqual([stderr, stdout], ["", "['a', 'back', 'renamed'] t-\n"]);
});

Deno.test("an open directory is the same directory after the program has renamed it", async () => {
  await using whole = await start({ "/data/d/e/file": "one", "/data/d/other": "two" });
  const script = `import os
top, dir = os.open("/data", os.O_RDONLY), os.open("/data/d/e", os.O_RDONLY)
os.rename("/data/d", "/data/moved")
print(os.stat("file", dir_fd=dir).st_size, os.listdir("/data/moved/e"))
os.rename("moved", "again", src_dir_fd=top, dst_dir_fd=top); os.mkdir("new", dir_fd=dir)
os.chdir(dir); print(os.getcwd(), sorted(os.listdir(".")))`;
  const { stdout, stderr } = await whole.run(["/usr/bin/python3", "-S", "-c", script]);
  assert.deepEqual([stderr, stdout], ["", "3 ['file']\n/data/again/e ['file', 'new']\n"]);
});
