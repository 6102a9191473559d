# Libraries of every kind, made at $1; the paths that they name begin with $2.
set -eu
mkdir -p "$1" && cd "$1"
mkdir -p lib deep/plugins rpath plain bad listed
cc() { output=$1; shift; gcc -shared -fPIC -O1 -w -x c -o "$output" - -x none -Wl,--no-as-needed -Wl,-z,lazy "$@"; }
new=-Wl,--enable-new-dtags old=-Wl,--disable-new-dtags
echo 'int leaf(void) { return 7; }' | cc lib/libleaf.so.1 -Wl,-soname,libleaf.so.1
ln -s libleaf.so.1 lib/libleaf.so
echo 'int leaf(void); int middle(void) { return leaf() + 10; }' |
	cc lib/libmiddle.so -Wl,-soname,libmiddle.so -Llib -lleaf $new '-Wl,-rpath,$ORIGIN'
echo 'int middle(void); int value(void) { return middle() + 100; }' |
	cc deep/plugins/plug.so -Llib -lmiddle $new '-Wl,-rpath,${ORIGIN}/../../lib'
ln -s deep/plugins/plug.so link.so
echo 'int leaf(void); int transitive(void) { return leaf() + 1; }' |
	cc rpath/libtransitive.so -Wl,-soname,libtransitive.so -Llib -lleaf
echo 'int transitive(void); int value(void) { return transitive() + 200; }' |
	cc rpath/plug.so -Lrpath -ltransitive $old '-Wl,-rpath,$ORIGIN:$ORIGIN/../lib'
echo 'int middle(void); int value(void) { return middle() + 300; }' |
	cc rpath/absolute.so -Llib -lmiddle $new "-Wl,-rpath,/nowhere:$2/lib"
echo 'int plain(void) { return 5; }' | cc plain/libplain.so
echo 'int plain(void); int value(void) { return plain() + 400; }' | cc plain/plug.so -Lplain -lplain $new '-Wl,-rpath,$ORIGIN'
echo 'int extra(void) { return 9; }' | cc lib/libextra.so
echo '#include <dlfcn.h>
int value(void) { void *it = dlopen("libextra.so", RTLD_LAZY); return it ? ((int (*)(void))dlsym(it, "extra"))() + 500 : -1; }' |
	cc deep/plugins/asking.so $new '-Wl,-rpath,$ORIGIN/../../lib'
echo 'int listed(void) { return 3; }' | cc listed/liblisted.so -Wl,-soname,liblisted.so
echo 'int listed(void); int value(void) { return listed() + 600; }' | cc deep/plugins/listed.so -Llisted -llisted
echo '#include <math.h>
double way(double x) { return sqrt(x); } int value(void) { volatile double x = 49; return (int)way(x) + 700; }' |
	cc deep/plugins/math.so -lm
echo 'extern int nobody(void); int value(void) { return 1; } int other(void) { return nobody(); }' | cc bad/undefined.so
echo 'int x;' | cc bad/libgone.so && echo 'int value(void) { return 1; }' | cc bad/needs.so -Lbad -lgone && rm bad/libgone.so
printf 'GLIBC_2.99 { global: newest; };' >bad/map
echo 'int newest(void) { return 0; }' | cc bad/libc.so.6 -nostdlib -Wl,-soname,libc.so.6 -Wl,--version-script=bad/map
echo 'int newest(void); int value(void) { return newest(); }' | cc bad/newer.so -nostdlib bad/libc.so.6
rm bad/libc.so.6
echo 'int value(void);int x(void) { return value(); }' | cc bad/libnewer.so bad/newer.so
echo 'no library at all, and long enough to be looked at as if it were one ....................' >bad/text.so
: >bad/empty.so
head -c 100 lib/libleaf.so.1 >bad/short.so
ln -s nowhere bad/dangling.so
cp lib/libleaf.so.1 bad/closed.so && chmod 0 bad/closed.so
# Bigger than what comes at once.
echo 'char big[3 << 20] = { 1 }; int value(void) { return big[0] + big[sizeof big - 1] + 800; }' | cc deep/plugins/big.so
# Programs: one that lies beside them, one that knows where they are, one that is told.
mkdir -p bin
gcc -O1 -w -o bin/beside "$3" -Llib -Lrpath -lmiddle -ltransitive -Lplain -lplain -Wl,-rpath-link,lib $new '-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/../rpath:$ORIGIN/../plain'
gcc -O1 -w -o bin/old "$3" -Llib -Lrpath -lmiddle -ltransitive -Lplain -lplain -Wl,-rpath-link,lib $old '-Wl,-rpath,$ORIGIN/../lib:$ORIGIN/../rpath:$ORIGIN/../plain'
gcc -O1 -w -o bin/knows "$3" -Llib -Lrpath -lmiddle -ltransitive -Lplain -lplain -Wl,-rpath-link,lib $new "-Wl,-rpath,$2/lib:$2/rpath:$2/plain"
gcc -O1 -w -o bin/told "$3" -Llib -Lrpath -lmiddle -ltransitive -Lplain -lplain -Wl,-rpath-link,lib
