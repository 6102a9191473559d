/* streams.c - stdio over files that are written: every mode, and what is in the file after each step. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static const char *top = "/data/streams";
static char path[256];

static const char *result(long value)
{
	static char text[64];
	if (value < 0)
		return strerrorname_np(errno);
	snprintf(text, sizeof text, "%ld", value);
	return text;
}

/* What a plain open sees. */
static void contents(const char *label)
{
	char bytes[200];
	struct stat st = { 0 };
	int fd = open(path, O_RDONLY);
	long count = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
	printf("%s: %s ", label, result(count));
	for (long at = 0; at < count; at++)
		printf(bytes[at] >= ' ' && bytes[at] < 127 ? "%c" : "\\%03o", (unsigned char)bytes[at]);
	if (fd >= 0 && fstat(fd, &st) == 0)
		printf(" size %ld links %ld mode %o", (long)st.st_size, (long)st.st_nlink, st.st_mode);
	printf("\n");
	if (fd >= 0)
		close(fd);
}

static void fill(const char *text)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (write(fd, text, strlen(text)) < 0)
		perror("fill");
	close(fd);
}

static void mode(const char *how)
{
	char line[32] = "";
	fill("0123456789\nsecond\n");
	errno = 0;
	FILE *it = fopen(path, how);
	printf("fopen %s: %s flags %x tell %ld\n", how, it ? "open" : strerrorname_np(errno),
	       it ? fcntl(fileno(it), F_GETFL) & (O_ACCMODE | O_APPEND) : 0, it ? ftell(it) : 0);
	if (!it)
		return;
	printf("  write %s", result(fprintf(it, "%s-%d", "text", 42) < 0 ? -1 : 0));
	printf(" tell %ld flush %s\n", ftell(it), result(fflush(it)));
	clearerr(it);
	contents("  flushed");
	printf("  seek %s", result(fseek(it, 2, SEEK_SET)));
	printf(" gets %s", fgets(line, sizeof line, it) ? line : "nothing\n");
	clearerr(it);
	printf("  seek %s", result(fseek(it, 1, SEEK_SET)));
	printf(" put %s tell %ld", result(fputs("##", it) < 0 ? -1 : 0), ftell(it));
	clearerr(it);
	printf(" close %s\n", result(fclose(it)));
	contents("  closed");
}

static void reopen(void)
{
	int saved = dup(1);
	fill("before\n");
	fflush(stdout);
	FILE *it = freopen(path, "a", stdout);
	if (it)
		printf("through stdout\n");
	fflush(stdout);
	if (write(1, "raw\n", 4) < 0 || system("echo child; /bin/echo other >&2 2>/dev/null") < 0)
		perror("children");
	dup2(saved, 1);
	printf("freopen: %s %d\n", it ? "open" : "none", it ? fileno(it) : -1);
	contents("freopen");
	printf("freopen exclusive: %s\n", freopen(path, "wx", stderr) ? "open" : strerrorname_np(errno));
}

static void temporary(void)
{
	char name[256];
	struct stat st;
	int (*const makes[])(char *) = { mkstemp };
	for (unsigned at = 0; at < sizeof makes / sizeof *makes; at++) {
		snprintf(name, sizeof name, "%s/t-XXXXXX", top);
		int fd = makes[at](name);
		printf("mkstemp: %s", result(fd < 0 ? -1 : 0));
		printf(" %s", result(fstat(fd, &st)));
		printf(" mode %o size %ld changed %d\n", st.st_mode, (long)st.st_size, !strstr(name, "XXXXXX"));
		printf("mkstemp unlink %s write %s\n", result(unlink(name)), result(write(fd, "x", 1)));
		close(fd);
	}
	snprintf(name, sizeof name, "%s/t-XXXXXX.c", top);
	printf("mkstemps: %s", result(mkstemps(name, 2) < 0 ? -1 : 0));
	printf(" %s\n", name + strlen(name) - 2);
	unlink(name);
	snprintf(name, sizeof name, "%s/none/t-XXXXXX", top);
	printf("mkstemp none: %s %s\n", result(mkstemp(name)), strstr(name, "XXXXXX") ? "kept" : "changed");
	snprintf(name, sizeof name, "%s/t-XXXXX", top);
	printf("mkstemp short: %s\n", result(mkstemp(name)));
}

static void calls(void)
{
	struct iovec parts[] = { { "ab", 2 }, { "cde", 3 } };
	fill("");
	int fd = open(path, O_RDWR | O_DSYNC);
	printf("dprintf %s", result(dprintf(fd, "%d-%s", 7, "seven")));
	printf(" writev %s", result(writev(fd, parts, 2)));
	printf(" pwritev2 %s", result(pwritev2(fd, parts, 2, 20, RWF_DSYNC)));
	printf(" append %s\n", result(pwritev2(fd, parts, 2, 0, RWF_APPEND)));
	contents("calls");
	printf("fallocate %s", result(fallocate(fd, 0, 0, 100)));
	printf(" keep %s", result(fallocate(fd, FALLOC_FL_KEEP_SIZE, 100, 100)));
	printf(" punch %s\n", result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4)));
	contents("allocated");
	printf("ftruncate %s", result(ftruncate(fd, 6)));
	printf(" truncate %s", result(truncate(path, 9)));
	printf(" end %s\n", result(lseek(fd, 0, SEEK_END)));
	contents("truncated");
	printf("sync_file_range %s", result(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE)));
	printf(" fdatasync %s", result(fdatasync(fd)));
	printf(" syncfs %s", result(syncfs(fd)));
	printf(" fcntl append %s", result(fcntl(fd, F_SETFL, O_APPEND)));
	printf(" write %s\n", result(write(fd, "end", 3)));
	contents("appended");
	struct flock lock = { .l_type = F_WRLCK };
	printf("lock %s", result(fcntl(fd, F_SETLK, &lock)));
	pid_t child = fork();
	if (child == 0) {
		int own = open(path, O_RDWR);
		_exit(fcntl(own, F_SETLK, &lock) < 0 ? errno : 0);
	}
	int status;
	waitpid(child, &status, 0);
	printf(" other's %s\n", strerrorname_np(WEXITSTATUS(status)));
	close(fd);
	printf("write closed %s\n", result(write(fd, "x", 1)));
	fd = creat(path, 0600);
	printf("creat %s read %s\n", result(fd < 0 ? -1 : 0), result(read(fd, path, 1)));
	close(fd);
	contents("created");
	printf("open null %s\n", result(open(NULL, O_WRONLY | O_CREAT, 0600)));
	printf("fopen null %s\n", fopen("/data/none/x", "w") ? "open" : strerrorname_np(errno));
	printf("wide %s\n", result(fclose(fopen(path, "w,ccs=UTF-8"))));
}

static void ends(int how)
{
	fill("");
	fflush(stdout);
	pid_t child = fork();
	if (child == 0) {
		FILE *it = fopen(path, "w");
		fprintf(it, "left in the buffer by %d", how);
		if (how == 0)
			exit(0);
		if (how == 1)
			_exit(0);
		if (how == 2)
			abort();
		if (how == 3)
			quick_exit(0);
		execlp("true", "true", NULL);
	}
	int status;
	waitpid(child, &status, 0);
	printf("end %d: %d ", how, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	contents("left");
}

int main(void)
{
	static const char *const modes[] = { "r", "w", "a", "r+", "w+", "a+", "wx", "rb+", "wb", "ab", "w+e", "q", "" };
	mkdir(top, 0755);
	snprintf(path, sizeof path, "%s/file", top);
	for (unsigned at = 0; at < sizeof modes / sizeof *modes; at++)
		mode(modes[at]);
	unlink(path);
	FILE *it = fopen(path, "wx");
	printf("fopen wx new: %s\n", it ? result(fclose(it)) : strerrorname_np(errno));
	reopen();
	temporary();
	calls();
	for (int how = 0; how < 5; how++)
		ends(how);
	unlink(path);
	printf("rmdir %s\n", result(rmdir(top)));
	return 0;
}
