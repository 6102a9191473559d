# The tree that the programs look at, made at $1 with this machine's programs: files at the edges of what moves in one
# piece, links of every kind, names of every kind, what the target's user may not read.
set -eu
mkdir -p "$1" && cd "$1"
printf 'first line\nsecond line\n\nlast without end' >small.txt
: >empty
head -c 1048575 /dev/urandom >under; head -c 1048576 /dev/urandom >exact; head -c 1048577 /dev/urandom >over
head -c 5242880 /dev/urandom >big
truncate -s 1M sparse && printf island >>sparse && truncate -s 3M sparse
mkdir -p sub/deep/deeper && printf deep >sub/deep/file && printf x >sub/.hidden && chmod 711 sub/deep
ln -s /data/small.txt absolute; ln -s small.txt relative; ln -s ../data/small.txt around; ln -s nowhere dangling
ln -s loop2 loop1; ln -s loop1 loop2; ln -s sub dirlink; ln -s /data/sub absdir; ln -s ../../../../data/small.txt beyond
ln -s relative chain; ln -s . here; ln -s sub/../small.txt dotted; ln -s /etc/hostname tohost; ln -s empty/ slashed
ln small.txt hard; mkfifo fifo; mknod null c 1 3; chmod 666 null
printf secret >unreadable && chmod 000 unreadable; mkdir closed && printf s >closed/file && chmod 700 closed
mkdir listable && printf s >listable/file && chmod 744 listable; mkdir passable && printf s >passable/file && chmod 711 passable
printf g >grouped && chown 0:4242 grouped && chmod 640 grouped; printf u >owned && chown 4241:0 owned && chmod 400 owned
printf m >modes && chmod 6755 modes
mkdir names && cd names && printf 1 >"$(printf 'caf\351')"; printf 2 >"new
line"; printf 3 >' space'; printf 4 >"$(printf '%0255d' 0)"; printf 5 >'*star[1]'; printf 6 >ünïcode; cd ..
mkdir many && (cd many && seq -f 'entry-%04g' 1 1200 | xargs touch)
mkdir emptydir own && chown 4241:4241 own
touch -h -d '2001-02-03 04:05:06.123456789 UTC' small.txt relative; touch -d '1969-12-31 23:59:58.5 UTC' empty
touch -d '2100-01-01 00:00:00.000000001 UTC' sub
mkdir made && /usr/bin/python3 - <<'PYTHON'
import sqlite3, zipfile
with sqlite3.connect("made/shop.sqlite") as shop:
    shop.execute("create table item(name text, price int)")
    shop.executemany("insert into item values(?, ?)", [("item %d" % n, n * n % 1009) for n in range(20000)])
with zipfile.ZipFile("made/all.zip", "w") as it:
    for name in ("small.txt", "sub/deep/file", "over"):
        it.write(name, compress_type=zipfile.ZIP_DEFLATED)
PYTHON
