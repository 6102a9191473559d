# What is written into a directory of the target and then executed: scripts, links to programs, copies of programs, hooks.

exec 2>&1
LC_ALL=C
export LC_ALL HOME=/data/work GIT_CONFIG_NOSYSTEM=1
cd /data/work || exit 1
mkdir in bin
printf '#!/bin/sh\necho script $0 "$@"; pwd\n' >run
chmod 755 run
./run a 'b c'
/data/work/run
(cd in && ../run)
printf '#! /bin/sh -e  \necho $- $0 "$@"\n' >options
printf '#!/data/work/run one two\n' >meta
printf '#!/nonexistent\n' >bad
printf 'echo no first line $0\n' >plain
printf '\1\2\3' >garbage
chmod 755 options meta bad plain garbage
./options x
./meta y
./bad; echo $?
./plain
/bin/sh -c ./plain
env ./plain
./garbage >/dev/null 2>&1; echo $?
chmod 644 run; ./run; echo $?; chmod 755 run
./in; echo $?
./nothing; echo $?
ln -s ../run bin/linked
ln -s /bin/echo bin/say
ln -s say bin/again
cp /bin/true copy
cp /bin/sh shell
./copy; echo $?
./shell -c 'echo from a copy: $0; exec ./run'
bin/linked; bin/again said
PATH=/data/work/bin:$PATH
again found; linked; env again by env; xargs -n1 again <options
find . -maxdepth 1 -name run -exec {} \;
/usr/bin/python3 -u -c 'import os, subprocess
for it in ("./run", "again", "./copy", "./nothing", "./in", "./garbage"):
    try: print(subprocess.run([it, "1"], capture_output=True))
    except OSError as error: print(it, error.errno)
print(os.posix_spawnp("again", ["again", "spawned"], os.environ) > 0, os.wait()[1])'
perl -e 'system("./run", "p"); print `./run q`'
if command -v git >/dev/null; then
	git init -q -b main repository 2>/dev/null && cd repository || exit 1
	printf '#!/bin/sh\necho hook $0 in $PWD\n' >.git/hooks/pre-commit
	chmod 755 .git/hooks/pre-commit
	git -c user.name=a -c user.email=a@b commit -q --allow-empty -m hooked
	git log --format=%s
fi
