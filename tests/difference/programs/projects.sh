# Bigger tools that write a tree of their own: version control, databases, archives, builds.

exec 2>&1
LC_ALL=C
export LC_ALL GIT_AUTHOR_DATE='2001-02-03 04:05:06 +0000' GIT_COMMITTER_DATE='2001-02-03 04:05:06 +0000'
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_GLOBAL=/data/work/gitconfig GIT_CONFIG_NOSYSTEM=1
export HOME=/data/work
try() { echo "\$ $*"; "$@"; echo "= $?"; }
show() { find "$1" -printf '%p %M %n %U:%G %s %l\n' | sed 's/\(d[rwx-]* [0-9]* [0-9:]*\) [0-9]*/\1/' | sort; }
cd /data/work || exit 1
have() { command -v "$1" >/dev/null; }
mkdir source && cd source || exit 1
for n in 1 2 3 4 5; do mkdir -p d$n/e; seq $n 50 >d$n/file$n; seq 20 >d$n/e/more; done
ln -s d1/file1 soft; chmod 755 d2/file2; touch -d '2001-02-03 04:05:06.5 UTC' d3/file3 d4; cd ..
if have git; then
	try git init -q -b main repository
	cd repository || exit 1
	cp -a ../source/. .
	try git add -A
	try git commit -qm first
	try git log --format='%H %s'
	echo changed >>d1/file1; git mv d2/file2 d2/renamed; git rm -q d3/file3
	try git status --short
	try git commit -qam second
	try git checkout -q -b other HEAD~1
	echo other >d5/file5
	try git commit -qam third
	try git merge -q -m merged main
	try git log --format='%H %s' --graph
	try git gc -q
	try git fsck
	try git stash list
	try git clean -fdxq
	cd ..
	try git clone -q repository cloned
	try git -C cloned status --short
	try diff -r repository/d1 cloned/d1
	try git -C cloned reset -q --hard HEAD~1
	show repository | grep -v '\.git/'
fi
if have rsync; then
	try rsync -a --exclude .git source/ synced/
	try rsync -ain source/ synced/
	rm synced/d1/file1; echo x >>synced/d2/file2
	touch -d '2001-01-01' synced/d1 synced/d2/file2
	try rsync -ai --delete source/ synced/
	show synced
fi
if have sqlite3; then
	try sqlite3 shop.db 'create table item(name text, price int); insert into item values ("a", 1), ("b", 2);'
	try sqlite3 shop.db 'begin; update item set price = price + 1; commit; select * from item;'
	try sqlite3 shop.db 'pragma journal_mode=wal; insert into item select name, price from item; select count(*) from item;'
fi
try /usr/bin/python3 - <<'PYTHON'
import sqlite3
for mode in ("delete", "truncate", "persist", "memory", "wal"):
    with sqlite3.connect("py.db") as shop:
        print(mode, shop.execute("pragma journal_mode=" + mode).fetchone())
        shop.execute("create table if not exists item(name text, price int)")
        shop.executemany("insert into item values(?, ?)", [("item %d" % n, n) for n in range(300)])
    shop.close()
    with sqlite3.connect("py.db") as shop:
        print(shop.execute("select count(*), sum(price) from item").fetchall(), shop.execute("pragma integrity_check").fetchall())
    shop.close()
PYTHON
try tar -C source -czf all.tgz .
mkdir out && try tar -C out -xzf all.tgz
try diff -r source out
try sh -c 'cd source && find . | sort | cpio -o --quiet >../all.cpio' 
mkdir out2 && try sh -c 'cd out2 && cpio -id --quiet <../all.cpio'
try diff -r source out2
show out | head -20
if have make; then
	printf 'all: b c\n%%: %%.in\n\tcp $< $@\nclean:\n\trm -f b c\n' >Makefile; echo b >b.in; echo c >c.in
	try make -s
	try make
	try make -s clean
fi
try /usr/bin/python3 -m zipfile -c all.zip source
try /usr/bin/python3 -m zipfile -e all.zip unzipped
try diff -r source unzipped/source
try /usr/bin/python3 - <<'PYTHON'
import configparser, json, logging, logging.handlers, os, pathlib, pickle, shelve, shutil, tempfile
os.chdir("/data/work")
path = pathlib.Path("lib"); path.mkdir(); (path / "a.json").write_text(json.dumps([1, 2]))
(path / "a.json").replace(path / "b.json"); (path / "b.json").touch(); (path / "link").symlink_to("b.json"); (path / "hard").hardlink_to(path / "b.json")
print(sorted((it.name, it.stat().st_nlink, it.is_symlink()) for it in path.iterdir()), (path / "link").resolve())
handler = logging.handlers.RotatingFileHandler("app.log", maxBytes=100, backupCount=2)
for n in range(20):
    handler.emit(logging.LogRecord("x", 20, "f", 1, "line %d", (n,), None))
handler.close(); print(sorted(it for it in os.listdir(".") if it.startswith("app.log")), open("app.log").read())
with shelve.open("kept") as kept:
    kept["a"] = [1, 2]
with shelve.open("kept") as kept:
    print(dict(kept))
with tempfile.NamedTemporaryFile(dir=".", delete=False) as it:
    it.write(b"temporary")
print(os.stat(it.name).st_size, oct(os.stat(it.name).st_mode)); os.remove(it.name)
with tempfile.TemporaryDirectory(dir=".") as it:
    pathlib.Path(it, "x").write_bytes(b"x" * 100000); print(os.path.getsize(it + "/x"))
with tempfile.TemporaryFile(dir=".") as it:
    it.write(b"nameless"); it.flush(); os.fchmod(it.fileno(), 0o640); print(oct(os.fstat(it.fileno()).st_mode), os.fstat(it.fileno()).st_size)
shutil.copytree("source", "copied", symlinks=True); shutil.make_archive("packed", "gztar", "copied"); shutil.unpack_archive("packed.tar.gz", "unpacked")
print(sorted(os.listdir("unpacked"))); shutil.rmtree("copied"); print(os.path.exists("copied"))
with open("sparse", "wb") as it:
    it.truncate(10000000); it.seek(5000000); it.write(b"island")
print(os.path.getsize("sparse"), open("sparse", "rb").read()[4999999:5000008])
fd = os.open("locked", os.O_RDWR | os.O_CREAT)
import fcntl
fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
child = os.fork()
if child == 0:
    other = os.open("locked", os.O_RDWR)
    for act in (lambda: fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB), lambda: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)):
        try:
            act(); print("not locked")
        except OSError as error:
            print("locked", error.errno)
    os._exit(0)
os.waitpid(child, 0)
PYTHON
rm -rf repository cloned synced out out2 unzipped unpacked
show /data/work | grep -v '\.db\|\.tgz\|cpio\|kept\|\.zip\|packed\.\|gitconfig'
