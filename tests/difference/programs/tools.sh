# Everyday tools over the tree.

exec 2>&1
try() { echo "\$ $*"; "$@"; echo "= $?"; }
try ls -la --time-style=full-iso /data
try ls -laR --time-style=full-iso /data/sub /data/names
try ls -lai /data/dirlink /data/dirlink/
try ls /data/nothing /data/small.txt/
try stat /data/small.txt /data/sub /data/relative /data/null /data/fifo
try stat -L /data/relative /data/loop1 /data/dangling
try stat -f -c '%T %s %S %l' /data /data/small.txt
try cat /data/sub
try cat /data/small.txt /data/dangling /data/unreadable
try head -c 5 /data/sub
try find /data -printf '%p %y %Y %s %m %i %n %T@ %l\n'
try find /data -name '*.txt' -size +1c -newer /data/empty
try find -L /data/sub /data/dirlink -type f
try find /data/sub -depth -exec echo {} +
try grep -rn line /data --exclude-dir=many
try grep -c . /data/sub
try wc /data/small.txt /data/empty /data/sub
try md5sum /data/under /data/exact /data/over /data/big /data/sparse
try du -a /data/sub
try du -sk /data/under /data/big # how many blocks a sparse file of a tmpfs has depends on who has looked at it
try df --output=fstype /data
try readlink -f /data/chain /data/dirlink/deep/.. /data/dangling
try realpath /data/beyond /data/absdir
try test -r /data/unreadable
try sh -c 'for f in /data/n* /data/[ab]*; do [ -L "$f" ] && echo "link $f"; [ -p "$f" ] && echo "pipe $f"; [ -s "$f" ] && echo "full $f"; done'
try diff -r /data/sub /data/absdir
try cmp /data/over /data/under
try tail -c 7 /data/big
try tail -n 2 /data/small.txt
try tac /data/small.txt
try sort /data/small.txt
try perl -ne 'print "$ARGV $. $_"' /data/small.txt
try sed -n 2p /data/small.txt
try dd if=/data/over bs=1000 skip=2 count=1 status=none of=/dev/null
try od -A d -N 16 -c /data/small.txt
try cp -a /data/sub ./copied-tree
try find ./copied-tree -printf '%P %y %m %l\n'
try cp /data/nothing /data/sub ./
try cp --sparse=always /data/sparse ./copied-sparse
try cmp /data/sparse ./copied-sparse
try install -m 600 /data/small.txt ./installed
try tar -C / -cf ./all.tar data/sub data/names data/small.txt data/relative
try tar -tvf ./all.tar
try tar -cf ./all2.tar -C /data sub
try file -b /data/small.txt
try getent hosts echo-server in-hosts-only nothing
try getent ahosts two
try hostname
try hostname -f
try uname -n
try curl -sS http://echo-server/x
try curl -s http://echo-server:9/
try curl -sS --max-time 3 http://nothing/
try curl -sS telnet://127.0.0.1:7001
try perl -e 'opendir D, "/data/sub"; print join(",", sort readdir D), "\n"; open F, "<", "/data/small.txt"; print scalar <F>; print -s "/data/over", " ", -d "/data/sub", " ", (stat "/data/big")[7], "\n"; print join ",", map { s,.*/,,r } sort glob "/data/s*"'
rm -rf ./copied-tree ./copied-sparse ./installed ./all.tar ./all2.tar
