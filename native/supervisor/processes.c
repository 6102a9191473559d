/* processes.c - whom a notification is of. See processes.h.
 *
 * A record is that of a thread where the kernel has descriptors of threads (6.9), else of its process. It is good as long
 * as its pidfd says that the process lives. Whether the shim is in it is looked at once per image, or every time for a
 * while after another thread than its first has begun to execute a program.
 */
#include "processes.h"
#include "../shim.h"

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

enum { RECORDS = 1024, SETTLED_MS = 1000 };

struct process {
	pid_t id;
	int pidfd;
	unsigned users;
	int64_t looked_ms, executed_ms;
	bool is_ours;
};

static struct process records[RECORDS];
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

static bool lives(const struct process *it)
{
	return kernel(SYS_pidfd_send_signal, it->pidfd, 0, NULL, 0) == 0;
}

static int open_process(pid_t tid, pid_t *id)
{
	*id = tid;
	if (!atomic_load(&has_no_thread_descriptors)) {
		long fd = kernel(SYS_pidfd_open, tid, PIDFD_THREAD);
		if (fd != -EINVAL)
			return (int)fd;
		atomic_store(&has_no_thread_descriptors, true);
	}
	*id = (pid_t)field_of(tid, "\nTgid:", 10);
	return *id > 0 ? (int)kernel(SYS_pidfd_open, *id, 0) : -ESRCH;
}

/* A place for a new record: an empty one, or that of a process that has ended. */
static struct process *place_for_one(void)
{
	for (int at = 0; at < RECORDS; at++)
		if (!records[at].id)
			return &records[at];
	struct process *found = NULL;
	for (int at = 0; at < RECORDS; at++) {
		struct process *it = &records[at];
		if (it->users > 0 || lives(it))
			continue;
		kernel(SYS_close, it->pidfd);
		*it = (struct process){ 0 };
		found = found ? found : it;
	}
	for (int at = 0; !found && at < RECORDS; at++) {
		if (records[at].users > 0)
			continue;
		kernel(SYS_close, records[at].pidfd);
		found = &records[at];
	}
	return found;
}

static struct process *find(pid_t id)
{
	for (int at = 0; at < RECORDS; at++)
		if (records[at].id == id)
			return &records[at];
	return NULL;
}

static struct process *known_or_new(pid_t tid)
{
	pid_t id = tid;
	if (atomic_load(&has_no_thread_descriptors))
		id = (pid_t)field_of(tid, "\nTgid:", 10);
	struct process *it = find(id);
	if (it && lives(it))
		return it;
	int pidfd = open_process(tid, &id);
	if (pidfd < 0)
		return NULL;
	if (!it)
		it = place_for_one();
	else if (it->users > 0)
		it = NULL; /* of one that has ended, and is still being answered */
	else
		kernel(SYS_close, it->pidfd);
	if (!it) {
		kernel(SYS_close, pidfd);
		return NULL;
	}
	*it = (struct process){ .id = id, .pidfd = pidfd };
	return it;
}

struct process *process_of(pid_t tid)
{
	pthread_mutex_lock(&lock);
	struct process *it = known_or_new(tid);
	if (it)
		it->users++;
	pthread_mutex_unlock(&lock);
	return it;
}

void process_let_go(struct process *process)
{
	pthread_mutex_lock(&lock);
	process->users--;
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
	pthread_mutex_lock(&lock);
	for (int at = 0; at < 2; at++) {
		struct process *it = ids[at] > 0 ? known_or_new(ids[at]) : NULL;
		if (!it)
			continue;
		it->looked_ms = 0;
		it->executed_ms = ids[0] == ids[1] ? 0 : now_ms();
	}
	pthread_mutex_unlock(&lock);
}

/* Does a loader that understands our library start this program? */
static bool has_glibc_loader(int fd)
{
	uint8_t head[4096];
	Elf64_Ehdr header;
	long length = kernel(SYS_pread64, fd, head, sizeof head, 0);
	if (length < (long)sizeof header)
		return false;
	memcpy(&header, head, sizeof header);
	for (int at = 0; at < header.e_phnum; at++) {
		Elf64_Phdr segment;
		size_t offset = header.e_phoff + (size_t)at * header.e_phentsize;
		if (offset > (size_t)length || (size_t)length - offset < sizeof segment)
			return false;
		memcpy(&segment, head + offset, sizeof segment);
		if (segment.p_type != PT_INTERP)
			continue;
		bool is_inside = segment.p_offset < (size_t)length && segment.p_filesz < (size_t)length - segment.p_offset;
		return is_inside && !memmem(head + segment.p_offset, segment.p_filesz, "ld-musl", 7);
	}
	return false;
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

static bool look(pid_t tid)
{
	if (is_skipped(tid))
		return false;
	int fd = open_of(tid, "exe", O_RDONLY);
	if (fd < 0)
		return true;
	bool may_have_shim = has_glibc_loader(fd);
	kernel(SYS_close, fd);
	return !may_have_shim || !has_preload(tid);
}

bool process_is_ours(struct process *process, pid_t tid)
{
	if (process->looked_ms > process->executed_ms + SETTLED_MS)
		return process->is_ours;
	int64_t now = now_ms();
	bool is_ours = look(tid);
	process->is_ours = is_ours;
	process->looked_ms = now;
	return is_ours;
}
