# What the programs work on, made at $1, the target's /data, with this machine's programs.
set -eu
mkdir -p "$1" && cd "$1"
mkdir tree && for top in $(seq 100); do mkdir "tree/$top"; (cd "tree/$top" && for name in $(seq 100); do echo "$top $name" >"f$name"; done); done
ln -s 1/f1 tree/link; mkdir small && cp -r tree/1 tree/2 tree/3 small/ && printf 'first\nsecond\nthird\n' >small/poem && ln -s 1 small/link
git init -q repo && cd repo && git config user.email one@example.org && git config user.name One
for name in $(seq 60); do mkdir "d$name"; echo "$name" >"d$name/file"; done
git add -A && git commit -qm first --date '2020-01-01T00:00:00Z' && echo more >d1/file && git commit -qam second && echo changed >d2/file && echo new >d3/new && cd ..
/usr/bin/python3 - <<'PYTHON'
import sqlite3
with sqlite3.connect("shop.db") as shop:
    shop.execute("create table item(name text primary key, price int)")
    shop.executemany("insert into item values(?, ?)", [("item %d" % n, n * n % 1009) for n in range(20000)])
PYTHON
mkdir -p web/templates web/static && echo '<p>{{ name }}</p>' >web/templates/page.html && echo 'p { color: blue }' >web/static/page.css
printf 'NAME = "from the target"\n' >web/settings.cfg
if command -v keytool >/dev/null; then
	keytool -genkeypair -alias key -keyalg EC -storepass changeit -keystore keys.p12 -dname CN=target -storetype PKCS12 2>/dev/null
fi
head -c 3000000 /dev/urandom >random
mkdir c && printf '#include "answer.h"\n#include <stdio.h>\nint main(void) { printf("%%d\\n", ANSWER); }\n' >c/main.c && echo '#define ANSWER 42' >c/answer.h
printf 'all: answer\nanswer: main.c answer.h\n\t$(CC) -o $@ main.c\n' >c/Makefile
