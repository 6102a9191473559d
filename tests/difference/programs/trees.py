"""What Python's own libraries make of a tree of the target."""
import csv, filecmp, glob, json, linecache, mmap, os, pathlib, shutil, sqlite3, tarfile, tempfile, zipfile
from transcript import say

top = "/data"


def packed(scratch):
    with tarfile.open(scratch + "/t.tar", "w") as tar:
        tar.add(top + "/sub", "sub")
    return sorted(tarfile.open(scratch + "/t.tar").getnames())


say("walk", lambda: sorted((d, sorted(ds), len(fs)) for d, ds, fs in os.walk(top)))
say("walk links", lambda: len(list(os.walk(top + "/sub", followlinks=True))))
say("fwalk", lambda: sorted((d, sorted(ds), sorted(fs)[:3]) for d, ds, fs, _ in os.fwalk(top + "/sub")))
say("order", lambda: os.listdir(top))
say("bytes", lambda: os.listdir(b"/data/names"))
for it in sorted(os.scandir(top), key=lambda it: it.name):
    say("entry " + it.name, lambda: (it.is_dir(), it.is_file(), it.is_symlink(), it.inode(), it.is_dir(follow_symlinks=False)))
    say("entry stat " + it.name, it.stat, follow_symlinks=False)
say("scandir fd", lambda: sorted((it.name, it.stat().st_size) for it in os.scandir(os.open(top + "/sub", os.O_RDONLY))))
say("listdir fd twice", lambda: (lambda fd: (len(os.listdir(fd)), len(os.listdir(fd))))(os.open(top + "/many", os.O_RDONLY)))
say("many", lambda: (os.listdir(top + "/many")[::100], len(os.listdir(top + "/many"))))
say("many stats", lambda: sum(os.stat("%s/many/%s" % (top, name)).st_nlink for name in os.listdir(top + "/many")))
for pattern in ("*", "*.txt", "**/*", "s*/d*/*", "[a-c]*", "names/*", "nothing*", "dirlink/*", "dirlink/**/file"):
    say("glob " + pattern, lambda: sorted(glob.glob("%s/%s" % (top, pattern), recursive=True))[:20])
    say("iglob dir_fd " + pattern, lambda: sorted(glob.glob(pattern, root_dir=top))[:20])
path = pathlib.Path(top)
say("rglob", lambda: len(sorted(path.rglob("*"))))
say("resolve", lambda: [str((path / name).resolve()) for name in ("chain", "dirlink/deep", "beyond", "dangling", "here/here")])
say("pathlib", lambda: [(path / "small.txt").read_text(), (path / "closed").is_dir(), (path / "dangling").exists(), (path / "loop1").is_symlink(), (path / "fifo").is_fifo(), (path / "sub").owner() == (path / "sub").owner(), (path / "null").is_char_device()])
say("samefile", lambda: [os.path.samefile(top + "/small.txt", top + "/hard"), os.path.samefile(top + "/sub", top + "/absdir"), os.path.ismount(top + "/sub")])
say("getsize", lambda: [os.path.getsize(top + "/big"), os.path.getmtime(top + "/small.txt")])
with tempfile.TemporaryDirectory(dir=".") as scratch:
    say("copy", lambda: os.stat(shutil.copy(top + "/over", scratch + "/over")).st_size)
    say("copy2", lambda: os.stat(shutil.copy2(top + "/small.txt", scratch + "/two")).st_mtime_ns)
    say("copytree", lambda: sorted(os.listdir(shutil.copytree(top + "/sub", scratch + "/tree", symlinks=True))))
    say("copyfile link", lambda: os.readlink(shutil.copyfile(top + "/chain", scratch + "/link", follow_symlinks=False)))
    say("cmp", lambda: filecmp.cmp(top + "/over", scratch + "/over", shallow=False))
    say("tar", packed, scratch)
    say("disk_usage", lambda: shutil.disk_usage(top).total > 0)

say("zip", lambda: [(it.filename, zipfile.ZipFile("/data/made/all.zip").read(it)[:20]) for it in zipfile.ZipFile("/data/made/all.zip").infolist()])
say("sqlite", lambda: sqlite3.connect("file:/data/made/shop.sqlite?mode=ro", uri=True).execute("select count(*), sum(price), max(name) from item where price % 7 = 3").fetchall())
say("sqlite immutable", lambda: sqlite3.connect("file:/data/made/shop.sqlite?immutable=1", uri=True).execute("select name from item order by price desc limit 3").fetchall())
say("sqlite plain", lambda: sqlite3.connect("/data/made/shop.sqlite").execute("select count(*) from item").fetchall())
say("sqlite write", lambda: sqlite3.connect("file:/data/made/shop.sqlite?mode=ro", uri=True).execute("delete from item"))
say("sqlite missing", lambda: sqlite3.connect("file:/data/made/none?mode=ro", uri=True).execute("select 1"))
say("json", lambda: json.load(open("/app/config.json")))
say("linecache", lambda: linecache.getline(top + "/small.txt", 2))
say("csv", lambda: list(csv.reader(open(top + "/small.txt"))))
say("mmap", lambda: mmap.mmap(os.open(top + "/big", os.O_RDONLY), 0, access=mmap.ACCESS_READ)[4194300:4194310])
say("text modes", lambda: [open(top + "/small.txt", newline="\r").readline(), open(top + "/small.txt", "rb", buffering=0).read(5), open(top + "/small.txt", "r").seek(0, 2)])
for mode in ("r", "rb", "rt"):
    say("open %s directory" % mode, open, top + "/sub", mode)
