/* special.c - system calls that are not simply those of their hooks: what changes the process itself, what the process has
 * to do alone, what waits. See answer.h.
 */
#include "../cwd.h"
#include "../fds.h"
#include "../netlink.h"
#include "../raw.h"
#include "../writing.h"
#include "../remote.h"
#include "answer.h"
#include "inject.h"
#include "memory.h"
#include "reals.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* getcwd(2): a placeholder is called by the name of what it stands for. */
static long tell_directory(struct asked *asked)
{
	char path[PATH_MAX];
	long length = process_link(asked->tid, "cwd", path, sizeof path - 1);
	length = length > 0 ? cwd_unveil(path, length) : -1;
	if (length < 0)
		return GO_ON;
	path[length++] = '\0';
	if ((unsigned long)length > asked->notice->data.args[1])
		return -ERANGE;
	int error = memory_write(asked->tid, asked->notice->data.args[0], path, (size_t)length);
	return error ? error : length;
}

/* The directory that it shall be, as a descriptor of ours; GO_ON or -errno. */
static long directory_wanted(struct asked *asked)
{
	char path[WIRE_PATH_BYTES];
	const char *wanted = (const char *)asked->arguments[0];
	if (asked->call->number == SYS_fchdir) {
		ssize_t length = fds_directory_path(asked->descriptors[0], path, sizeof path - 1);
		if (length < 0)
			return GO_ON;
		path[length] = '\0';
		wanted = path;
	}
	long fd = cwd_open(wanted);
	if (fd != BYPASS)
		return fd;
	return asked->is_elsewhere ? kernel(SYS_openat, AT_FDCWD, wanted, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : GO_ON;
}

static long change_directory(struct asked *asked)
{
	long fd = directory_wanted(asked);
	if (fd < 0)
		return fd;
	int error = inject_directory(asked->listener, asked->notice, (int)fd);
	kernel(SYS_close, fd);
	return error ? error : ANSWERED;
}

/* The target has what was written, before the descriptor goes: afterwards the process is not ours to hold any more. */
static long end_writing(struct asked *asked, int at)
{
	uint64_t file = asked->descriptors[at] < 0 ? 0 : writing_file_of(asked->descriptors[at]);
	int error = file ? writing_sync(file, WRITING_SYNC) : 0;
	return error && asked->call->number == SYS_close ? error : GO_ON;
}

/* The same for all descriptors of a process that ends. */
static void sync_open(struct asked *asked)
{
	static const char written[] = "/memfd:mirrord-w-";
	char link[64], name[32];
	if (!writing_may_be())
		return;
	snprintf(link, sizeof link, "/proc/%d/fd", asked->tid);
	DIR *list = opendir(link);
	for (struct dirent *entry; list && (entry = readdir(list));) {
		snprintf(name, sizeof name, "fd/%.20s", entry->d_name);
		if (process_link(asked->tid, name, link, sizeof link) < (long)sizeof written ||
		    memcmp(link, written, sizeof written - 1) != 0)
			continue;
		int fd = process_descriptor(asked->process, atoi(entry->d_name));
		uint64_t file = fd < 0 ? 0 : writing_file_of(fd);
		if (file)
			writing_sync(file, WRITING_SYNC);
		if (fd >= 0)
			kernel(SYS_close, fd);
	}
	if (list)
		closedir(list);
}

int reals_end_of_wait(void)
{
	if (!is_waiting(reals_listener, reals_notice))
		return -ESRCH;
	return process_has_signal(reals_caller) ? -512 : 0; /* ERESTARTSYS */
}

long wait_until_ready(struct asked *asked, int fd, bool is_patient)
{
	enum { SLICE_MS = 20 };
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	if (!is_patient || (kernel(SYS_fcntl, fd, F_GETFL) & O_NONBLOCK))
		return 0;
	while (kernel(SYS_poll, &wait, 1, SLICE_MS) == 0) {
		if (!is_waiting(asked->listener, asked->notice->id))
			return -ESRCH;
		/* The kernel makes of it what the handler asks for: EINTR, or the same call again. */
		if (process_has_signal(asked->tid))
			return -512; /* ERESTARTSYS */
	}
	return 0;
}

/* Of a server whose clients' names nobody asks for, waiting is the kernel's. */
static bool answer_waiting(struct asked *asked, long *result)
{
	long number = asked->call->number;
	bool is_named = number == SYS_recvfrom ? asked->arguments[4] != 0 : asked->arguments[1] != 0;
	*result = GO_ON;
	if (!is_named)
		return true;
	bool is_patient = number != SYS_recvfrom || !(asked->arguments[3] & MSG_DONTWAIT);
	long error = wait_until_ready(asked, (int)asked->arguments[0], is_patient);
	*result = error;
	return error != 0;
}

bool answer_special(struct asked *asked, long *result)
{
	switch (asked->call->number) {
	case SYS_getcwd:
		*result = tell_directory(asked);
		return true;
	case SYS_close:
		*result = end_writing(asked, 0);
		return true;
	case SYS_dup2:
	case SYS_dup3:
		*result = end_writing(asked, 1);
		return true;
	case SYS_exit_group:
		sync_open(asked);
		*result = GO_ON;
		return true;
	case SYS_chdir:
	case SYS_fchdir:
		*result = change_directory(asked);
		return true;
	case SYS_getdents64: /* a listing that was gone back to is read once more as it was */
		if (asked->descriptors[0] >= 0 && kernel(SYS_lseek, asked->descriptors[0], 0, SEEK_CUR) == 0) {
			struct directory_footer footer;
			if (fds_directory(asked->descriptors[0], &footer) == 0)
				kernel(SYS_lseek, asked->descriptors[0], DIRECTORY_BASE, SEEK_SET);
		}
		return false;
	case SYS_accept:
	case SYS_accept4:
	case SYS_recvfrom:
		return answer_waiting(asked, result);
	case SYS_sendto: /* to nobody: only where we are who hears it */
		*result = GO_ON;
		return asked->arguments[4] == 0 && !netlink_may_be((int)asked->arguments[0]);
	case SYS_ioctl:
		*result = answer_interface(asked);
		return true;
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_recvmsg:
	case SYS_recvmmsg:
		*result = answer_message(asked);
		return true;
	default:
		return false;
	}
}
