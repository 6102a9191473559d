/* processes.c - whom a notification is of. See processes.h.
 *
 * A record is that of a thread where the kernel has descriptors of threads (6.9), else of its process. It is good as long
 * as its pidfd says that the process lives. Whether the shim is in it is looked at once per image, or every time for a
 * while after another thread than its first has begun to execute a program.
 */
#include "processes.h"
#include "../shim.h"
#include "../wire.h"

#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

enum { RECORDS = 1024, SETTLED_MS = 1000, ENDED = -1 };

struct process {
	pid_t id;
	int pidfd;
	unsigned users;
	int64_t looked_ms, executed_ms;
	bool is_ours, is_narrow;
};

static struct process records[RECORDS];
/* As many as are answered at once, if there is not room for many descriptors. */
static int most_records = RECORDS;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool has_no_thread_descriptors;

static int64_t now_ms(void)
{
	struct timespec now;
	kernel(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_of(pid_t tid, const char *name, int flags)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
	return (int)kernel(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
}

long process_link(pid_t tid, const char *link, char *into, size_t room)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", tid, link);
	return kernel(SYS_readlink, path, into, room);
}

/* The number behind `name` in /proc/TID/status, or -1. */
static long long field_of(pid_t tid, const char *name, int base)
{
	char status[2048];
	int fd = open_of(tid, "status", O_RDONLY);
	long length = fd < 0 ? 0 : kernel(SYS_read, fd, status, sizeof status - 1);
	if (fd >= 0)
		kernel(SYS_close, fd);
	status[length > 0 ? length : 0] = '\0';
	const char *line = strstr(status, name);
	return line ? (long long)strtoull(line + strlen(name), NULL, base) : -1;
}

bool process_has_signal(pid_t tid)
{
	unsigned long long blocked = (unsigned long long)field_of(tid, "\nSigBlk:", 16);
	unsigned long long ignored = (unsigned long long)field_of(tid, "\nSigIgn:", 16);
	unsigned long long own = (unsigned long long)field_of(tid, "\nSigPnd:", 16);
	unsigned long long shared = (unsigned long long)field_of(tid, "\nShdPnd:", 16);
	return ((own | shared) & ~blocked & ~ignored) != 0;
}

unsigned process_umask(pid_t tid)
{
	long long mask = field_of(tid, "\nUmask:", 8);
	return mask < 0 ? 022 : (unsigned)mask;
}

void process_limit(int threads)
{
	if (2 * threads < RECORDS)
		most_records = threads;
}

static bool lives(const struct process *it)
{
	return kernel(SYS_pidfd_send_signal, it->pidfd, 0, NULL, 0) == 0;
}

static long open_process(pid_t tid, pid_t *id)
{
	*id = tid;
	if (!atomic_load(&has_no_thread_descriptors)) {
		long fd = kernel(SYS_pidfd_open, tid, PIDFD_THREAD);
		if (fd != -EINVAL)
			return fd;
		atomic_store(&has_no_thread_descriptors, true);
	}
	*id = (pid_t)field_of(tid, "\nTgid:", 10);
	return *id > 0 ? kernel(SYS_pidfd_open, *id, 0) : -ESRCH;
}

static void forget(struct process *it)
{
	kernel(SYS_close, it->pidfd);
	*it = (struct process){ 0 };
}

/* Records that nobody uses are given up: those of processes that have ended, or all. */
static void forget_unused(bool all)
{
	for (int at = 0; at < RECORDS; at++)
		if (records[at].id && records[at].users == 0 && (all || !lives(&records[at])))
			forget(&records[at]);
}

/* An empty place for a new record, or NULL. */
static struct process *place_for_one(void)
{
	for (int attempt = 0; attempt < 3; attempt++) {
		for (int at = 0; at < most_records; at++)
			if (!records[at].id)
				return &records[at];
		forget_unused(attempt > 0);
	}
	return NULL;
}

static struct process *find(pid_t id)
{
	for (int at = 0; at < RECORDS; at++)
		if (records[at].id == id)
			return &records[at];
	return NULL;
}

static struct process *known_or_new(pid_t tid, long *error)
{
	pid_t id = tid;
	if (atomic_load(&has_no_thread_descriptors))
		id = (pid_t)field_of(tid, "\nTgid:", 10);
	struct process *it = find(id);
	if (it && lives(it))
		return it;
	if (it && it->users > 0)
		it->id = ENDED; /* and is being answered still */
	else if (it)
		forget(it);
	long pidfd = open_process(tid, &id);
	if (pidfd == -EMFILE || pidfd == -ENFILE) {
		forget_unused(true);
		pidfd = open_process(tid, &id);
	}
	it = pidfd < 0 ? NULL : place_for_one();
	*error = it ? 0 : pidfd < 0 ? pidfd : -ENOMEM;
	if (it)
		*it = (struct process){ .id = id, .pidfd = (int)pidfd };
	else if (pidfd >= 0)
		kernel(SYS_close, pidfd);
	return it;
}

struct process *process_of(pid_t tid, long *error)
{
	pthread_mutex_lock(&lock);
	struct process *it = known_or_new(tid, error);
	if (it)
		it->users++;
	pthread_mutex_unlock(&lock);
	return it;
}

void process_let_go(struct process *process)
{
	pthread_mutex_lock(&lock);
	if (--process->users == 0 && process->id == ENDED)
		forget(process);
	pthread_mutex_unlock(&lock);
}

int process_descriptor(struct process *process, int fd)
{
	return (int)kernel(SYS_pidfd_getfd, process->pidfd, fd, 0);
}

bool process_is_first(pid_t tid)
{
	return field_of(tid, "\nTgid:", 10) == tid;
}

void process_executes(pid_t tid)
{
	/* The thread that executes goes on under the number of its process. If that is its own, the next we hear of it is
	 * the new image, or that there is none; else the process's first thread may speak up before it ends. */
	pid_t ids[] = { tid, (pid_t)field_of(tid, "\nTgid:", 10) };
	long error;
	pthread_mutex_lock(&lock);
	for (int at = 0; at < 2; at++) {
		struct process *it = ids[at] > 0 ? known_or_new(ids[at], &error) : NULL;
		if (!it)
			continue;
		it->looked_ms = 0;
		it->executed_ms = ids[0] == ids[1] ? 0 : now_ms();
	}
	pthread_mutex_unlock(&lock);
}

enum image { UNKNOWN, NARROW /* 32 bits */, WITH_LOADER /* that understands our library */, ALONE };

static enum image image_in(int fd)
{
	uint8_t head[4096];
	Elf64_Ehdr header;
	long length = kernel(SYS_pread64, fd, head, sizeof head, 0);
	if (length < (long)sizeof header)
		return ALONE;
	memcpy(&header, head, sizeof header);
	if (header.e_ident[EI_CLASS] == ELFCLASS32)
		return NARROW;
	for (int at = 0; at < header.e_phnum; at++) {
		Elf64_Phdr segment;
		size_t offset = header.e_phoff + (size_t)at * header.e_phentsize;
		if (offset > (size_t)length || (size_t)length - offset < sizeof segment)
			return ALONE;
		memcpy(&segment, head + offset, sizeof segment);
		if (segment.p_type != PT_INTERP)
			continue;
		bool is_inside = segment.p_offset < (size_t)length && segment.p_filesz < (size_t)length - segment.p_offset;
		return is_inside && !memmem(head + segment.p_offset, segment.p_filesz, "ld-musl", 7) ? WITH_LOADER : ALONE;
	}
	return ALONE;
}

/* Is our library in the list that the program was started with? */
static bool has_preload(pid_t tid)
{
	enum { ROOM = 1 << 17 };
	int fd = open_of(tid, "environ", O_RDONLY);
	char *room = fd < 0 ? NULL : malloc(ROOM + 1);
	size_t length = 0;
	long count = 0;
	while (room && length < ROOM && (count = kernel(SYS_read, fd, room + length, ROOM - length)) > 0)
		length += (size_t)count;
	if (fd >= 0)
		kernel(SYS_close, fd);
	bool is_there = false;
	for (size_t at = 0; room && at < length; at += strlen(room + at) + 1) {
		room[length] = '\0';
		if (strncmp(room + at, "LD_PRELOAD=", 11) == 0 && strstr(room + at, shim.path))
			is_there = true;
	}
	free(room);
	return is_there;
}

/* Is it one that the user wants to be left alone? What it starts is not. */
static bool is_skipped(pid_t tid)
{
	char executable[SHIM_PATH_BYTES], invocation[SHIM_PATH_BYTES];
	long length = process_link(tid, "exe", executable, sizeof executable - 1);
	executable[length > 0 ? length : 0] = '\0';
	int fd = open_of(tid, "cmdline", O_RDONLY);
	length = fd < 0 ? 0 : kernel(SYS_read, fd, invocation, sizeof invocation - 1);
	if (fd >= 0)
		kernel(SYS_close, fd);
	invocation[length > 0 ? length : 0] = '\0';
	return shim_skips(executable, invocation);
}

/* False: it cannot be seen now. */
static bool look(struct process *process, pid_t tid)
{
	char path[SHIM_PATH_BYTES];
	int fd = open_of(tid, "exe", O_RDONLY);
	enum image image = fd < 0 ? UNKNOWN : image_in(fd);
	if (fd >= 0)
		kernel(SYS_close, fd);
	process->is_narrow = image == NARROW;
	process->is_ours = image != NARROW && !is_skipped(tid) && (image != WITH_LOADER || !has_preload(tid));
	if (image != NARROW)
		return image != UNKNOWN;
	long length = process_link(tid, "exe", path, sizeof path - 1);
	path[length > 0 ? length : 0] = '\0';
	wire_note("Runs without mirrord", path, "is for another architecture");
	return true;
}

static void look_if_new(struct process *process, pid_t tid)
{
	int64_t now = now_ms();
	if (process->looked_ms <= process->executed_ms + SETTLED_MS && look(process, tid))
		process->looked_ms = now;
}

bool process_is_ours(struct process *process, pid_t tid)
{
	look_if_new(process, tid);
	return process->is_ours;
}

bool process_is_narrow(struct process *process, pid_t tid)
{
	look_if_new(process, tid);
	return process->is_narrow;
}
