# Everyday tools that change a tree.

exec 2>&1
LC_ALL=C
try() { echo "\$ $*"; "$@"; echo "= $?"; }
show() { find /data/work -printf '%p %M %n %U:%G %s %l\n' | sed 's/\(d[rwx-]* [0-9]* [0-9:]*\) [0-9]*/\1/' | sort; }
cd /data/work || exit 1
try mkdir -p /data/work/a/b/c x/y
try mkdir /data/work/a
try mkdir -m 700 secret
try sh -c 'echo one >file; echo two >>file; cat file'
try touch -d '2001-02-03 04:05:06.123456789 UTC' file
try stat -c '%y %s %a' file
try cp file copy
try cp -a file exact
try stat -c '%y %s %a' exact
try cp -p file a/b/
try ln -s file soft
try ln -sf nowhere soft
try ln file hard
try ln -s /data/work/a toa
try stat -c '%h' hard
try chmod 640 file
try chmod -R g+w a
try chmod u=rwx,go= x
try mv file renamed
try mv -n copy renamed
try mv a moved
try mv none other
try rm hard
try rm none
try rm moved
try rm -f none
try rmdir moved
try rmdir x/y
show
try install -D -m 750 renamed in/some/place
try install -d -m 711 in/directory
try cp -a moved again
try cp -r /data/work/moved/. flat
try diff -r moved again
try tar -cf all.tar moved soft toa renamed
try mkdir from-tar
try tar -xf all.tar -C from-tar
try tar -tf all.tar
show
try rm -rf again
try sed -i 's/one/three/' renamed
try cat renamed
try sh -c 'seq 1000 >numbers; wc -l numbers; head -3 numbers; sort -rn numbers -o numbers; head -2 numbers'
try truncate -s 10 numbers
try truncate -s +5 numbers
try dd if=/dev/zero of=zeros bs=1000 count=3 conv=notrunc status=none
try sh -c 'printf abc | dd of=zeros bs=1 seek=5 conv=notrunc status=none; od -c zeros | head -3'
try find /data/work/from-tar -type f -exec chmod 600 {} +
try find /data/work/from-tar -depth -delete
try test -e from-tar
try sh -c 'mkdir t; cd t; for n in 1 2 3; do echo $n >f$n; done; for f in f*; do mv $f $f.txt; done; ls'
try sh -c 'umask 077; mkdir private; : >private/f; stat -c %a private private/f'
try mkfifo pipe
try sh -c 'd=$(mktemp -d /data/work/tmp.XXXXXX) && stat -c %a $d && rmdir $d'
try sh -c 'f=$(mktemp /data/work/tmp.XXXXXX) && stat -c "%a %s" $f && rm $f'
try unlink pipe
try sh -c 'set -C; echo x >renamed'
try cp renamed /data/work/t/
try cp --preserve=all -r t t2
try gzip -k numbers
try gunzip -c numbers.gz
try ls -A t2
try chown :4242 t2
try touch t2/f1.txt t2/new
try touch -r renamed t2/new
try sh -c '[ t2/new -nt renamed ] || [ renamed -nt t2/new ] || echo same'
try patch -s -p0 <<'PATCH'
--- t/f1.txt
+++ t/f1.txt
@@ -1 +1 @@
-1
+one
PATCH
try cat t/f1.txt
try perl -e 'mkdir "p" or die; rename "p", "q" or die; open F, ">", "q/f" or die; print F "x" x 10; close F; print -s "q/f", "\n"; utime 1, 2, "q/f"; print((stat "q/f")[9], "\n"); unlink "q/f"; rmdir "q" or die; symlink "a", "l"; print readlink "l"; unlink "l"'
try /usr/bin/python3 -c 'import shutil, os; shutil.copytree("t", "t3"); shutil.move("t3", "t4"); shutil.rmtree("t4"); print(os.path.exists("t4")); open("w", "w").write("x"); os.replace("w", "renamed"); print(open("renamed").read())'
try rm -r t t2
show
