/* needed.c - see needed.h. */
#include "needed.h"
#include "pages.h"
#include "remote.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* More than any linker makes; a table of strings beyond it is not read. */
enum { MOST_SEGMENTS = 128, MOST_ENTRIES = 4096, MOST_STRING_BYTES = 1 << 26, TEXT_BYTES = 4096 };
enum { DYNAMIC_BYTES = (MOST_ENTRIES + 1) * sizeof(Elf64_Dyn) };

struct source {
	int fd;
	/* Of the strings, in the file. */
	uint64_t strings, size;
};

void needed_free(struct needed *it)
{
	if (it)
		pages_give(it, it->bytes);
}

static bool read_at(int fd, void *into, size_t length, uint64_t offset)
{
	return offset < INT64_MAX && kernel(SYS_pread64, fd, into, length, offset) == (long)length;
}

static bool is_for_us(const Elf64_Ehdr *header)
{
	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_machine == EM_X86_64 && header->e_phentsize == sizeof(Elf64_Phdr) && header->e_phnum <= MOST_SEGMENTS;
}

/* Where in the file the byte lies that is loaded at `address`; 0 when it is in none. */
static uint64_t offset_of(const Elf64_Phdr *segments, size_t count, uint64_t address)
{
	for (size_t at = 0; at < count; at++) {
		const Elf64_Phdr *it = &segments[at];
		if (it->p_type == PT_LOAD && address >= it->p_vaddr && address - it->p_vaddr < it->p_filesz)
			return it->p_offset + (address - it->p_vaddr);
	}
	return 0;
}

/* The dynamic section, to be unmapped; NULL when there is none. It ends with DT_NULL. */
static Elf64_Dyn *dynamic_of(const Elf64_Phdr *segments, size_t count, int fd)
{
	for (size_t at = 0; at < count; at++) {
		const Elf64_Phdr *it = &segments[at];
		size_t entries = it->p_filesz / sizeof(Elf64_Dyn);
		if (it->p_type != PT_DYNAMIC)
			continue;
		if (entries == 0 || entries > MOST_ENTRIES)
			return NULL;
		Elf64_Dyn *dynamic = pages_take(DYNAMIC_BYTES);
		if (dynamic && read_at(fd, dynamic, entries * sizeof *dynamic, it->p_offset))
			return dynamic;
		pages_give(dynamic, DYNAMIC_BYTES);
		return NULL;
	}
	return NULL;
}

/* The string with this number, in `into`: its length, or 0. */
static size_t read_text(const struct source *from, uint64_t number, char into[TEXT_BYTES])
{
	if (number >= from->size)
		return 0;
	long length = kernel(SYS_pread64, from->fd, into, TEXT_BYTES, from->strings + number);
	size_t span = length > 0 ? strnlen(into, (size_t)length) : 0;
	return length > 0 && span < (size_t)length ? span : 0;
}

/* What is kept of an entry; NULL: nothing. */
static const char **place_of(struct needed *into, int64_t tag)
{
	switch (tag) {
	case DT_SONAME:
		return &into->soname;
	case DT_RPATH:
		return &into->rpath;
	case DT_RUNPATH:
		return &into->runpath;
	case DT_NEEDED:
		return into->count < MOST_NEEDED ? &into->names[into->count++] : NULL;
	default:
		return NULL;
	}
}

static bool is_wanted(int64_t tag)
{
	return tag == DT_SONAME || tag == DT_RPATH || tag == DT_RUNPATH || tag == DT_NEEDED;
}

static struct needed *texts_of(const Elf64_Dyn *dynamic, const struct source *from)
{
	char text[TEXT_BYTES];
	size_t room = 0;
	for (const Elf64_Dyn *it = dynamic; it->d_tag != DT_NULL; it++)
		if (is_wanted(it->d_tag))
			room += read_text(from, it->d_un.d_val, text) + 1;
	struct needed *found = pages_take(sizeof *found + room);
	if (!found)
		return NULL;
	found->bytes = sizeof *found + room;
	char *at = found->texts, *end = found->texts + room;
	for (const Elf64_Dyn *it = dynamic; it->d_tag != DT_NULL; it++) {
		size_t length = is_wanted(it->d_tag) ? read_text(from, it->d_un.d_val, text) : 0;
		const char **place = length > 0 && length < (size_t)(end - at) ? place_of(found, it->d_tag) : NULL;
		if (!place)
			continue;
		*place = memcpy(at, text, length);
		at += length + 1; /* which is zero */
	}
	return found;
}

struct needed *needed_of_file(int fd)
{
	Elf64_Ehdr header;
	Elf64_Phdr segments[MOST_SEGMENTS];
	if (!read_at(fd, &header, sizeof header, 0) || !is_for_us(&header) ||
	    !read_at(fd, segments, header.e_phnum * sizeof *segments, header.e_phoff))
		return NULL;
	Elf64_Dyn *dynamic = dynamic_of(segments, header.e_phnum, fd);
	if (!dynamic)
		return NULL;
	struct source from = { .fd = fd };
	for (const Elf64_Dyn *it = dynamic; it->d_tag != DT_NULL; it++) {
		if (it->d_tag == DT_STRTAB)
			from.strings = offset_of(segments, header.e_phnum, it->d_un.d_ptr);
		else if (it->d_tag == DT_STRSZ)
			from.size = it->d_un.d_val;
	}
	bool has_strings = from.strings > 0 && from.size > 0 && from.size <= MOST_STRING_BYTES;
	struct needed *found = has_strings ? texts_of(dynamic, &from) : NULL;
	pages_give(dynamic, DYNAMIC_BYTES);
	return found;
}

struct needed *needed_of_loaded(const struct link_map *object)
{
	const char *strings = NULL;
	struct needed *found = pages_take(sizeof *found);
	if (!found)
		return NULL;
	found->bytes = sizeof *found;
	/* The loader has made an address of it, except in the kernel's own library, which needs none. */
	for (const Elf64_Dyn *it = object->l_ld; it && it->d_tag != DT_NULL; it++)
		if (it->d_tag == DT_STRTAB && it->d_un.d_ptr >= object->l_addr)
			strings = (const char *)it->d_un.d_ptr;
	for (const Elf64_Dyn *it = object->l_ld; strings && it->d_tag != DT_NULL; it++) {
		if (it->d_tag == DT_RPATH)
			found->rpath = strings + it->d_un.d_val;
		else if (it->d_tag == DT_RUNPATH)
			found->runpath = strings + it->d_un.d_val;
		else if (it->d_tag == DT_SONAME)
			found->soname = strings + it->d_un.d_val;
	}
	return found;
}

/* ---- looking for them ---- */

bool needed_is_of_libc(const char *name)
{
	static const char *const names[] = {
		"ld-linux",	"libc.so.",	 "libm.so.",   "libpthread.so.", "libdl.so.",  "librt.so.",    "libmvec.so.",
		"libutil.so.", "libresolv.so.", "libanl.so.", "libnss_",	 "linux-vdso", "libthread_db.so.",
	};
	for (size_t at = 0; at < sizeof names / sizeof *names; at++)
		if (strncmp(name, names[at], strlen(names[at])) == 0)
			return true;
	return false;
}

bool needed_look(struct candidate *found)
{
	long fd = try_open(AT_FDCWD, found->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	found->fd = fd >= 0 ? (int)fd : NOT_OPEN;
	return fd >= 0 || (fd == BYPASS && kernel(SYS_faccessat, AT_FDCWD, found->path, R_OK) == 0);
}

size_t needed_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) : 0;
}

/* What a word in a list of directories stands for ("$ORIGIN"): how long it is, or 0. */
static size_t length_of_word(const char *at, const char *word)
{
	size_t length = strlen(word);
	if (at[0] != '$')
		return 0;
	if (at[1] == '{')
		return strncmp(at + 2, word, length) == 0 && at[2 + length] == '}' ? length + 3 : 0;
	return strncmp(at + 1, word, length) == 0 ? length + 1 : 0;
}

/* One directory of a list, and the name in it. False: no room, or a word that means something only here. */
static bool put_candidate(struct candidate *into, struct text directory, const char *owner, const char *name)
{
	size_t room = sizeof into->path - strlen(name) - 2, length = 0, word;
	for (size_t at = 0; at < directory.length; at += word > 0 ? word : 1) {
		const char *text = &directory.at[at];
		size_t count = 1;
		if ((word = length_of_word(text, "ORIGIN")) > 0) {
			text = owner;
			count = needed_directory(owner);
		} else if ((word = length_of_word(text, "PLATFORM")) > 0) {
			text = "x86_64";
			count = 6;
		} else if (*text == '$') {
			return false;
		}
		if (strlen(name) + 2 > sizeof into->path || length + count > room)
			return false;
		memcpy(into->path + length, text, count);
		length += count;
	}
	into->path[length++] = '/';
	strcpy(into->path + length, name);
	return true;
}

static bool look_through(struct candidate *found, const char *list, const char *separators, const char *owner,
			 const char *name)
{
	while (list && *list) {
		struct text directory = { list, strcspn(list, separators) };
		if (directory.length > 0 && put_candidate(found, directory, owner, name) && needed_look(found))
			return true;
		list += directory.length + (list[directory.length] != '\0');
	}
	return false;
}

bool needed_find(struct candidate *found, const struct search *it, const char *name)
{
	const char *runpath = it->needed->runpath;
	for (const struct search *one = it; one && !runpath; one = one->by)
		if (!one->needed->runpath && look_through(found, one->needed->rpath, ":", one->path, name))
			return true;
	return look_through(found, it->library_path, ":;", it->path, name) ||
	       look_through(found, runpath, ":", it->path, name);
}

bool needed_is_usual(const char *name)
{
	static const char *const directories[] = {
		"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",	      "/usr/lib64",
		"/lib",			 "/usr/lib",		      "/usr/local/lib", "/usr/local/lib/x86_64-linux-gnu",
	};
	char path[SHIM_PATH_BYTES];
	for (size_t at = 0; at < sizeof directories / sizeof *directories; at++) {
		int length = snprintf(path, sizeof path, "%s/%s", directories[at], name);
		if (length < (int)sizeof path && kernel(SYS_faccessat, AT_FDCWD, path, F_OK) == 0)
			return true;
	}
	return false;
}
