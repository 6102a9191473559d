/** The scripts that tests/programs run at both places. A table: a row is a program, or a way to use one. */

export interface ProgramCase {
  readonly name: string;
  /** Names below /usr/bin. */
  readonly needs: readonly string[];
  readonly script: string;
  /** Lines may come in any order. */
  readonly isSorted?: boolean;
  /** It writes below $W. */
  readonly writes?: boolean;
  readonly waits?: string;
}

const READING: readonly ProgramCase[] = [
  {
    name: "tar packs a tree of 10 000 files byte for byte",
    needs: ["tar"],
    script: "tar -C / --sort=name -cf - data/tree | sha256sum",
  },
  {
    name: "find, grep -r, wc, sort, awk and sed agree on a tree",
    needs: ["find", "grep", "awk"],
    script: `find /data/small -type f -newermt 2000-01-01 -size -2 | sort | head -20; grep -rn ' 7$' /data/small | sort
      find /data/small -type f -name 'f1*' -exec wc -c {} + | tail -1; sort -n /data/small/1/f1 /data/small/2/f2 | uniq -c
      awk '{ sum += $2 } END { print sum, NR }' /data/small/1/f*; sed -n 2p /data/small/poem; du -sb /data/small | cut -f1`,
  },
  {
    name: "find feeds xargs with four at once",
    needs: ["find", "xargs"],
    isSorted: true,
    script: "find /data/small -type f | xargs -P 4 -n 10 cat",
  },
  {
    name: "bash: pipes, here-documents, process substitution, redirections, globs, tests",
    needs: ["bash"],
    script: `bash -c 'diff <(sort -r /data/small/poem) <(cat /data/small/poem) | tac
cat <<END | tr a-z A-Z
$(cat /data/small/poem)
END
while read -r line; do echo "<$line>"; done < /data/small/poem
exec 7< /data/small/poem; read -r first <&7; cat <&7; echo "$first"; exec 7<&-
mapfile -t lines < /data/small/poem; echo "\${#lines[@]} \${lines[1]}"
for name in /data/small/1/f1*; do echo "$name"; done | tail -3; echo /data/s*/[12]/f9{1,2}
[[ -f /data/small/poem && ! -e /data/small/prose && -L /data/small/link && -d /data/small/link ]] && echo tested
[[ /data/small/poem -nt /data/nothing ]] && echo newer; cat < /data/nothing; echo $?; cat /data/small 2>&1
( read -r a; read -r b; echo "$b" ) < /data/small/poem; tee >(wc -l >&2) < /data/small/poem | cat; sleep 0.2'`,
  },
  {
    name: "perl, by open, opendir, stat, glob and File::Find",
    needs: ["perl"],
    script:
      `perl -MFile::Find -MCwd=abs_path -e 'open F, "<", "/data/small/poem"; print <F>; opendir D, "/data/small"; print join(",", sort readdir D), "\\n";
      print -s "/data/random", " ", (stat "/data/small/poem")[9], " ", -l "/data/small/link", "\\n", join(",", sort glob "/data/small/1/f9*"), "\\n";
      my $n = 0; find({ wanted => sub { $n++ }, no_chdir => 1 }, "/data/small"); print "$n ", abs_path("/data/small/link"), "\\n"; open G, "<", "/data/nothing" or print "$!\\n"'`,
  },
  {
    name: "perl's File::Find, which changes into each directory",
    needs: ["perl"],
    script: `perl -MFile::Find -e 'my $n = 0; find(sub { $n++ if -f }, "/data/small"); print "$n\\n"'`,
  },
  {
    name: "ruby, by File, Dir and IO",
    needs: ["ruby"],
    script:
      `ruby -e 'puts File.read("/data/small/poem"), Dir.glob("/data/small/1/f9*").sort.inspect, File.stat("/data/random").size, Dir.children("/data/small").sort.inspect,
      IO.readlines("/data/small/poem").size, File.exist?("/data/nothing"), File.realpath("/data/small/link"), File.mtime("/data/small/poem").nsec
      begin; File.open("/data/nothing"); rescue => e; puts e.class; end'`,
  },
  { name: "Node's fs and fs/promises", needs: ["node"], script: "node files.mjs" },
  {
    name: "a JVM reads a keystore, maps a file, walks a tree",
    needs: ["java", "javac", "keytool"],
    script: "java -Xshare:auto -XX:TieredStopAtLevel=1 Keys.java 2>&1",
  },
  {
    name: "SQLite reads a database of the target, by its shell and by Python",
    needs: ["sqlite3", "python3"],
    script:
      `sqlite3 /data/shop.db 'select count(*), sum(price), max(name) from item; pragma integrity_check'; sqlite3 'file:/data/shop.db?mode=ro' '.schema'
      /usr/bin/python3 -c 'import sqlite3; print(sqlite3.connect("/data/shop.db").execute("select * from item where name = ?", ("item 77",)).fetchall())'`,
  },
  {
    name: "git status, log, diff and blame in a repository of the target, from where it lies",
    needs: ["git"],
    script:
      "cd /data/repo && git -c safe.directory=* status --short && git -c safe.directory=* log --format='%h %s %an' && git -c safe.directory=* diff && git -c safe.directory=* blame d1/file",
  },
  {
    name: "git over a repository of the target, named by its directories",
    needs: ["git"],
    script: "git --git-dir=/data/repo/.git log --format='%h %s %an' && git --git-dir=/data/repo/.git show HEAD --stat",
  },
  {
    name: "rsync, cp, zip and cpio copy a tree here",
    needs: ["rsync"],
    script:
      "rsync -a /data/small/ /tmp/copied/ && diff -r --no-dereference /data/small /tmp/copied && find /tmp/copied | wc -l; rm -r /tmp/copied",
  },
  {
    name: "cp -a copies a tree here with modes, times and links",
    needs: ["cp"],
    script:
      "cp -a /data/small /tmp/copied-by-cp && diff -r --no-dereference /data/small /tmp/copied-by-cp && find /tmp/copied-by-cp -printf '%P %m %T@ %l %s\\n' | sort | sha256sum; rm -r /tmp/copied-by-cp",
  },
  {
    name: "make and gcc build the target's source here",
    needs: ["make", "gcc"],
    script:
      "gcc -o /tmp/answer-by-gcc /data/c/main.c && /tmp/answer-by-gcc; rm /tmp/answer-by-gcc; make -n -f /data/c/Makefile VPATH=/data/c",
  },
  {
    name: "gzip, openssl, dd, od, cmp, head and tail over a big file",
    needs: ["openssl", "od"],
    script:
      `gzip -c /data/random | gunzip | cmp - /data/random && echo same; openssl dgst -sha256 /data/random; dd if=/data/random bs=7 skip=100000 count=3 status=none | od -c
      head -c 100 /data/random | md5sum; tail -c 100 /data/random | md5sum; split -n 2/3 /data/random | md5sum; base64 /data/random | tail -1; xxd -s 2999990 /data/random 2>/dev/null || od -j 2999990 /data/random`,
  },
  {
    name: "Python's pathlib, shutil, zipfile, mmap and subprocess",
    needs: ["python3"],
    script: `/usr/bin/python3 - <<'END'
import pathlib, shutil, mmap, subprocess, hashlib, io, os, tarfile, tempfile
data = pathlib.Path("/data")
print(sorted(it.name for it in (data / "small").iterdir()), len(list((data / "small").rglob("f1*"))), (data / "small/link").resolve())
with open(data / "random", "rb") as it, mmap.mmap(it.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
    print(hashlib.sha256(mapped).hexdigest(), mapped.find(b"never there"))
with tempfile.TemporaryDirectory() as here:
    shutil.copytree(data / "small", here + "/copy", symlinks=True)
    print(sum(len(files) for _, _, files in os.walk(here)), os.readlink(here + "/copy/link"))
    print(shutil.make_archive(here + "/all", "zip", data / "small/1")[-7:])
into = io.BytesIO()
with tarfile.open(fileobj=into, mode="w") as tar: tar.add("/data/small")
print(len(into.getvalue()), subprocess.run(["cat", "/data/small/poem"], capture_output=True).stdout, shutil.disk_usage("/data").total)
END`,
  },
];

const WRITING: readonly ProgramCase[] = [
  {
    name: "bash creates, appends to, truncates and reads back files of the target",
    needs: ["bash"],
    script:
      `cd /tmp; bash -c 'echo one > $0/a; echo two >> $0/a; cat $0/a; : > $0/b; printf x > $0/b; exec 5<> $0/a; read -r l <&5; echo 2nd >&5; exec 5>&-; cat $0/a
      set -C; echo no > $0/a; cat <<E > $0/here
$(cat $0/b)
E
      { echo 1; echo 2 >&2; } > $0/out 2> $0/err; (umask 077; echo > $0/private); tee $0/t1 $0/t2 < $0/out > /dev/null; ls $0' $W`,
  },
  {
    name: "cp -a, mv, ln, mkdir -p, chmod, touch, rm -r at the target",
    needs: ["cp"],
    script:
      `cp -a /data/small $W/copy && mv $W/copy/1 $W/one && ln -s poem $W/copy/soft && ln $W/copy/poem $W/copy/hard && mkdir -p $W/a/b/c && chmod 640 $W/copy/poem
      touch -d '2001-02-03 04:05:06.5 UTC' $W/copy/poem && stat -c '%y %h %a' $W/copy/poem; rm -r $W/copy/2; rm -f $W/copy/nothing; rmdir $W/a/b/c; rmdir $W/a; install -m 755 /data/small/poem $W/tool; truncate -s 5 $W/tool`,
  },
  {
    name: "tar unpacks a tree at the target",
    needs: ["tar"],
    script: "tar -C / -cf - data/small | tar -C $W -xf - && tar -C $W -df /dev/null 2>/dev/null; find $W | wc -l",
  },
  {
    name: "sed -i, perl -i, sort -o and patch change files of the target",
    needs: ["sed", "perl"],
    script:
      "cp /data/small/poem $W/; sed -i s/first/1st/ $W/poem; perl -i -pe 's/second/2nd/' $W/poem; sort -r -o $W/poem $W/poem; cat $W/poem; dd if=/data/random of=$W/part bs=1000 count=7 conv=notrunc status=none; dd if=/data/random of=$W/part bs=1 seek=10 count=5 conv=notrunc status=none",
  },
  {
    name: "SQLite writes to a database of the target, with and without a write-ahead log",
    needs: ["sqlite3"],
    script:
      `cp /data/shop.db $W/shop.db; sqlite3 $W/shop.db "create table t(a); insert into t values(1),(2); update item set price = 1; delete from item where name like '%9'; vacuum"
      sqlite3 $W/shop.db 'select count(*), sum(price) from item; select * from t; pragma integrity_check'; sqlite3 $W/shop.db .dump | md5sum > $W/dump; rm $W/shop.db`,
  },
  {
    name: "gcc and make build the target's source there",
    needs: ["make", "gcc"],
    script:
      "cp -r /data/c $W/; gcc -o $W/c/answer $W/c/main.c && cp $W/c/answer /tmp/answer-$$ && /tmp/answer-$$; rm -f /tmp/answer-$$",
  },
  {
    name: "git clones, commits and checks out at the target",
    needs: ["git"],
    script:
      `export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
      git clone -q --no-hardlinks /data/repo $W/clone && cd $W/clone && echo more > d5/file && git -c user.name=A -c user.email=a@b commit -qam third && git log --format='%h %s' && git checkout -q HEAD~1 && cat d5/file; git status --short; rm -rf .git`,
  },
  {
    name: "Python writes by open, seek, truncate, os.replace, tempfile and shelve",
    needs: ["python3"],
    script: `/usr/bin/python3 - $W <<'END'
import os, sys, json, tempfile, pathlib, shutil
here = sys.argv[1]
with open(here + "/log", "a") as it: it.write("one\\n"); it.flush(); print(open(here + "/log").read(), it.tell())
with open(here + "/log", "r+") as it: it.seek(1); it.write("N"); it.truncate(3); print(os.fstat(it.fileno()).st_size)
fd, name = tempfile.mkstemp(dir=here); os.write(fd, b"new"); os.fsync(fd); os.close(fd); os.replace(name, here + "/log2"); os.chmod(here + "/log2", 0o604)
json.dump({"a": [1]}, open(here + "/x.json", "w")); print(json.load(open(here + "/x.json")))
try: open(here + "/x.json", "x")
except FileExistsError as error: print(error.errno)
pathlib.Path(here, "made/deep").mkdir(parents=True); shutil.copytree("/data/small/1", here + "/made/1"); shutil.rmtree(here + "/made/1"); os.truncate(here + "/log", 1)
with open(here + "/both", "wb+", buffering=0) as it: it.write(b"x" * 3000000); it.seek(5); print(it.read(3), os.pwrite(it.fileno(), b"yy", 10), os.pread(it.fileno(), 4, 9))
END`,
  },
  {
    name: "Node writes by fs, streams and promises",
    needs: ["node"],
    script: `node -e '
const fs = require("fs"), w = process.argv[1];
fs.writeFileSync(w + "/a", "one\\n"); fs.appendFileSync(w + "/a", "two\\n"); fs.mkdirSync(w + "/d/e", { recursive: true }); fs.cpSync("/data/small", w + "/copy", { recursive: true, verbatimSymlinks: true });
fs.copyFileSync("/data/small/poem", w + "/poem"); fs.renameSync(w + "/poem", w + "/verse"); fs.symlinkSync("verse", w + "/link"); fs.truncateSync(w + "/verse", 3); fs.rmSync(w + "/copy/1", { recursive: true });
const s = fs.createWriteStream(w + "/stream"); for (let i = 0; i < 5000; i++) s.write("line " + i + "\\n"); s.end(() => console.log(fs.statSync(w + "/stream").size, fs.readdirSync(w).sort().join()));
try { fs.writeFileSync(w + "/a", "", { flag: "wx" }) } catch (error) { console.log(error.code) }
fs.promises.writeFile(w + "/p", Buffer.alloc(2000000, 7)).then(() => fs.promises.chmod(w + "/p", 0o600)).then(() => console.log("p"));
' $W 2>&1 | sort`,
  },
  {
    name: "rsync and zip write to the target",
    needs: ["rsync"],
    script:
      "rsync -a /data/small/ $W/copy/ && echo more >> $W/copy/poem && rsync -ai --checksum /data/small/ $W/copy/ | sed 's/ .*//'",
  },
].map((it) => ({ ...it, writes: true }));

export const CASES: readonly ProgramCase[] = [...READING, ...WRITING];
