/* payload.c - unpack what the build appended to this executable
 *
 * A directory of the payload is unpacked under a name nobody else uses and then renamed: others see all of it or nothing.
 * Its name carries the hash of its contents, so one that is whole needs no second look. It is trusted only when it and its
 * files belong to this user, nobody else can write them, and the sizes are right; otherwise it is replaced.
 */
#define _GNU_SOURCE
#include "payload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Directories of other builds that nobody started for this long are removed when a new build is unpacked. */
#define STALE_SECONDS (14 * 24 * 3600)

static int read_at(int fd, void *into, size_t length, uint64_t offset)
{
	for (size_t done = 0; done < length;) {
		ssize_t count = pread(fd, (char *)into + done, length - done, (off_t)(offset + done));
		if (count < 0 && errno == EINTR) continue;
		if (count < 0) return -errno;
		if (count == 0) return -ENODATA;
		done += (size_t)count;
	}
	return 0;
}

static bool is_plain_name(const char *name, size_t size)
{
	return memchr(name, 0, size) != NULL && name[0] != 0 && name[0] != '.' && strchr(name, '/') == NULL;
}

int payload_open(struct payload *payload)
{
	struct trailer trailer;
	struct stat info;
	payload->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (payload->fd < 0 || fstat(payload->fd, &info) < 0) return -errno;
	if ((uint64_t)info.st_size < sizeof trailer) return -ENODATA;
	int error = read_at(payload->fd, &trailer, sizeof trailer, (uint64_t)info.st_size - sizeof trailer);
	if (error) return error;
	if (memcmp(trailer.magic, PAYLOAD_MAGIC, sizeof trailer.magic) != 0) return -ENODATA;
	if (trailer.count == 0 || trailer.count > MAX_ENTRIES) return -ENOEXEC;
	payload->count = trailer.count;
	error = read_at(payload->fd, payload->entries, trailer.count * sizeof(struct entry), trailer.index_offset);
	for (uint64_t i = 0; !error && i < payload->count; i++) {
		const struct entry *it = &payload->entries[i];
		bool is_good = is_plain_name(it->directory, sizeof it->directory) &&
			       is_plain_name(it->name, sizeof it->name);
		if (!is_good || it->offset + it->size > (uint64_t)info.st_size) error = -ENOEXEC;
	}
	return error;
}

static int copy_bytes(int from, uint64_t offset, int to, uint64_t size)
{
	static char buffer[1 << 17];
	off_t at = (off_t)offset;
	uint64_t left = size;
	while (left > 0) {
		ssize_t count = copy_file_range(from, &at, to, NULL, left, 0);
		if (count <= 0) break; /* another file system, an old kernel: by hand */
		left -= (uint64_t)count;
	}
	while (left > 0) {
		ssize_t count = pread(from, buffer, left < sizeof buffer ? left : sizeof buffer, at);
		if (count < 0 && errno == EINTR) continue;
		if (count < 0) return -errno;
		if (count == 0) return -ENODATA;
		for (ssize_t done = 0; done < count;) {
			ssize_t written = write(to, buffer + done, (size_t)(count - done));
			if (written < 0 && errno != EINTR) return -errno;
			if (written > 0) done += written;
		}
		at += count;
		left -= (uint64_t)count;
	}
	return 0;
}

static int write_file(int from, uint64_t offset, uint64_t size, int directory, const char *name, mode_t mode)
{
	int fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0) return -errno;
	int error = copy_bytes(from, offset, fd, size);
	if (!error && fchmod(fd, mode) < 0) error = -errno;
	if (close(fd) < 0 && !error) error = -errno;
	return error;
}

/* Ours, and nobody else can change it. */
static bool is_private(const struct stat *info)
{
	return info->st_uid == geteuid() && (info->st_mode & 022) == 0;
}

static bool is_whole(const struct payload *payload, int base, const char *directory)
{
	struct stat info;
	if (fstatat(base, directory, &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
	if (!S_ISDIR(info.st_mode) || !is_private(&info)) return false;
	for (uint64_t i = 0; i < payload->count; i++) {
		const struct entry *it = &payload->entries[i];
		char path[sizeof it->directory + sizeof it->name + 1];
		if (strcmp(it->directory, directory) != 0) continue;
		snprintf(path, sizeof path, "%s/%s", directory, it->name);
		if (fstatat(base, path, &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
		if (!S_ISREG(info.st_mode) || !is_private(&info)) return false;
		if ((uint64_t)info.st_size != it->size || (info.st_mode & 0500) != (it->mode & 0500)) return false;
	}
	return true;
}

/* Removes a directory and what is in it; one level of directories below is enough for what lies here. */
static void remove_tree(int base, const char *name, int depth)
{
	int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *it;
	while (list && (it = readdir(list)) != NULL) {
		if (strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0) continue;
		if (unlinkat(fd, it->d_name, 0) < 0 && depth > 0) remove_tree(fd, it->d_name, depth - 1);
	}
	if (list) closedir(list);
	unlinkat(base, name, AT_REMOVEDIR);
}

static int unpack_directory(const struct payload *payload, int base, const char *directory)
{
	char scratch[96];
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(scratch, sizeof scratch, ".%.63s.%ld", directory, (long)getpid() ^ now.tv_nsec);
	if (mkdirat(base, scratch, 0700) < 0) return -errno;
	int fd = openat(base, scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int error = fd < 0 ? -errno : 0;
	for (uint64_t i = 0; !error && i < payload->count; i++) {
		const struct entry *it = &payload->entries[i];
		if (strcmp(it->directory, directory) != 0) continue;
		error = write_file(payload->fd, it->offset, it->size, fd, it->name, it->mode & 0700);
	}
	if (fd >= 0) close(fd);
	/* Whatever stood there was not whole, or somebody else was faster: then theirs is as good as ours. */
	if (!error && renameat(base, scratch, base, directory) < 0) {
		if (!is_whole(payload, base, directory)) {
			remove_tree(base, directory, 3);
			if (renameat(base, scratch, base, directory) < 0) error = -errno;
		}
		if (is_whole(payload, base, directory)) error = 0;
	}
	remove_tree(base, scratch, 1);
	return error;
}

/* Other builds that were not started for a long time; and what an unpacking that was killed left behind. */
static void remove_stale(const struct payload *payload, int base)
{
	int fd = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *it;
	time_t now = time(NULL);
	while (list && (it = readdir(list)) != NULL) {
		struct stat info;
		const char *name = it->d_name + (it->d_name[0] == '.');
		/* Others keep their things here too. */
		if (strncmp(name, "runtime-", 8) != 0 && strncmp(name, "program-", 8) != 0) continue;
		bool is_current = false;
		for (uint64_t i = 0; i < payload->count; i++)
			is_current |= strcmp(it->d_name, payload->entries[i].directory) == 0;
		if (is_current || fstatat(base, it->d_name, &info, AT_SYMLINK_NOFOLLOW) < 0) continue;
		if (S_ISDIR(info.st_mode) && now - info.st_mtime > STALE_SECONDS) remove_tree(base, it->d_name, 3);
	}
	if (list) closedir(list);
}

static int make_directories(const char *path)
{
	char part[PATH_MAX];
	for (const char *slash = path; slash; ) {
		slash = strchr(slash + 1, '/');
		size_t length = slash ? (size_t)(slash - path) : strlen(path);
		if (length >= sizeof part) return -ENAMETOOLONG;
		memcpy(part, path, length);
		part[length] = 0;
		if (mkdir(part, 0700) < 0 && errno != EEXIST) return -errno;
	}
	return 0;
}

int payload_unpack(const struct payload *payload, const char *base, struct runtime *at)
{
	struct stat info;
	snprintf(at->executable, sizeof at->executable, "%s", base);
	int error = make_directories(base);
	if (error) return error;
	int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &info) < 0) return -errno;
	if (!is_private(&info)) error = -EPERM;
	for (uint64_t i = 0; !error && i < payload->count; i++) {
		const char *directory = payload->entries[i].directory;
		if (i > 0 && strcmp(directory, payload->entries[i - 1].directory) == 0) continue;
		if (is_whole(payload, fd, directory)) {
			utimensat(fd, directory, NULL, 0); /* used today: see remove_stale */
			continue;
		}
		error = unpack_directory(payload, fd, directory);
		if (!error) remove_stale(payload, fd);
	}
	for (uint64_t i = 0; !error && i < payload->count; i++) {
		const struct entry *it = &payload->entries[i];
		bool is_runtime = strcmp(it->name, RUNTIME_NAME) == 0;
		if (!is_runtime && strcmp(it->name, PROGRAM_NAME) != 0) continue;
		char *into = is_runtime ? at->executable : at->program;
		if (snprintf(into, PATH_MAX, "%s/%s/%s", base, it->directory, it->name) >= PATH_MAX) error = -ENAMETOOLONG;
		if (is_runtime) continue;
		if (snprintf(at->cache, PATH_MAX, "%s/%s/cache", base, it->directory) >= PATH_MAX) error = -ENAMETOOLONG;
	}
	close(fd);
	return error;
}

int payload_export(const struct payload *payload, const char *directory)
{
	int error = make_directories(directory);
	if (error) return error;
	int base = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base < 0) return -errno;
	remove_tree(base, BESIDE_NAME, 3);
	unlinkat(base, RUNTIME_NAME, 0);
	if (mkdirat(base, BESIDE_NAME, 0755) < 0) error = -errno;
	int beside = openat(base, BESIDE_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (beside < 0 && !error) error = -errno;
	if (!error && fchmod(beside, 0755) < 0) error = -errno;
	for (uint64_t i = 0; !error && i < payload->count; i++) {
		const struct entry *it = &payload->entries[i];
		error = write_file(payload->fd, it->offset, it->size, beside, it->name, it->mode & 0755);
	}
	/* The launcher is all that stands before the first file. */
	if (!error) error = write_file(payload->fd, 0, payload->entries[0].offset, base, RUNTIME_NAME, 0755);
	if (beside >= 0) close(beside);
	close(base);
	return error;
}
