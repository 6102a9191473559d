# Everyday tools that write files of the target.
umask 022
top=/data/tools; rm -rf $top; mkdir $top
say() { echo "== $1"; shift; "$@" 2>&1 | sed "s/[0-9]* bytes.*copied.*/copied/"; echo "-- ${PIPESTATUS[0]}"; }
show() { for it in "$@"; do printf '%s ' "$it"; stat -c '%A %h %U %s' "$it"; cat "$it"; done; }
say redirect sh -c "echo one >$top/a; echo two >>$top/a; cat <$top/a"
say clobber bash -c "set -C; echo x >$top/a; echo y >|$top/a; cat $top/a"
say both bash -c "{ echo out; echo err >&2; } &>$top/b; cat $top/b; exec 5<>$top/b; read line <&5; echo got \$line; echo more >&5; cat $top/b"
say here sh -c "cat >$top/here <<X
here \$((1 + 2))
X
cat $top/here"
say cp cp /data/small.txt $top/small; show $top/small
say 'cp -p' cp -p /data/small.txt $top/kept; stat -c %y $top/kept
say 'cp -r' cp -r /data/sub $top/sub; find $top/sub | sort
say 'cp big' sh -c "cp /data/over $top/over && cmp /data/over $top/over"
say mv mv $top/small $top/moved; show $top/moved
say 'sed -i' sh -c "sed -i s/line/LINE/ $top/moved; cat $top/moved"
say tee sh -c "echo teed | tee $top/t1 $top/t2; echo again | tee -a $top/t1; cat $top/t1 $top/t2"
say dd dd if=/data/over of=$top/dd bs=64k conv=fsync; cmp /data/over $top/dd
say 'dd seek' sh -c "printf XX | dd of=$top/dd bs=1 seek=1000 conv=notrunc 2>&1 | tail -1 | cut -c1-7; cmp /data/over $top/dd"
say truncate sh -c "truncate -s 100 $top/dd; truncate -s +50 $top/dd; stat -c %s $top/dd"
say touch sh -c "touch -d '2001-02-03 04:05:06' $top/touched; stat -c '%y %s' $top/touched; touch -r /data/empty $top/touched; stat -c %y $top/touched"
say install sh -c "install -m 750 /data/small.txt $top/installed; stat -c %A $top/installed"
say tar sh -c "cd / && tar cf $top/x.tar --warning=no-timestamp data/sub data/small.txt && mkdir $top/x && tar xpf $top/x.tar --warning=no-timestamp -C $top/x && find $top/x | sort && cat $top/x/data/small.txt"
say gzip sh -c "gzip -k $top/moved && gunzip -c $top/moved.gz | cmp - $top/moved && rm $top/moved && gunzip $top/moved.gz && cat $top/moved"
say sort sh -c "seq 10 -1 1 >$top/n; sort -n -o $top/n $top/n; head -2 $top/n"
say split sh -c "split -b 400000 /data/over $top/part. && cat $top/part.* | cmp - /data/over && ls $top/part.*"
say ln sh -c "ln $top/n $top/hard; echo 11 >>$top/hard; tail -1 $top/n; ln -s n $top/soft; echo 12 >>$top/soft; tail -1 $top/hard; stat -c %h $top/n"
say chmod sh -c "chmod 444 $top/n; stat -c %A $top/n; chmod u+w $top/n; echo 13 >>$top/n; tail -1 $top/n"
say noent sh -c "echo x >$top/none/y"
say isdir sh -c "echo x >$top"
say perl perl -e "open F,'>','$top/p' or die; print F 'perl'; close F or die; open F,'+<','$top/p'; seek F,0,2; print F ' more'; close F; print -s '$top/p', qq{\n}; open F,'>>','$top/p'; print F 'x'; rename '$top/p','$top/q'; close F; print -s '$top/q', qq{\n}"
say background sh -c "(for i in 1 2 3; do echo b\$i; done >$top/bg) & wait; cat $top/bg"
say pipe sh -c "seq 100000 | cat >$top/pipe; md5sum <$top/pipe; wc -l $top/pipe"
say killed sh -c "sh -c 'echo written; kill -9 \$\$' >$top/killed; cat $top/killed"
say mktemp sh -c "cd $top && mktemp t.XXXXXX | cut -c1-2; mktemp -d d.XXXXXX | cut -c1-2; rm -r t.* d.*"
say flock flock $top/lock echo locked
say patch sh -c "printf 'a\nb\nc\n' >$top/orig; printf -- '--- orig\n+++ orig\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n' | patch -s $top/orig; cat $top/orig"
say shred sh -c "echo secret >$top/s; shred -u $top/s; ls $top/s"
say list ls $top
rm -rf $top
