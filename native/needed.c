/* needed.c - see needed.h. */
#include "needed.h"

#include <elf.h>
#include <stdlib.h>

/* More than any linker makes; a table of strings beyond it is not read. */
enum { MOST_SEGMENTS = 128, MOST_ENTRIES = 4096, MOST_STRING_BYTES = 1 << 26, TEXT_BYTES = 4096 };

struct source {
	int fd;
	/* Of the strings, in the file. */
	uint64_t strings, size;
};

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

/* The dynamic section, to be freed; NULL when there is none. It ends with DT_NULL. */
static Elf64_Dyn *dynamic_of(const Elf64_Phdr *segments, size_t count, int fd)
{
	for (size_t at = 0; at < count; at++) {
		const Elf64_Phdr *it = &segments[at];
		size_t entries = it->p_filesz / sizeof(Elf64_Dyn);
		if (it->p_type != PT_DYNAMIC)
			continue;
		if (entries == 0 || entries > MOST_ENTRIES)
			return NULL;
		Elf64_Dyn *dynamic = calloc(entries + 1, sizeof *dynamic);
		if (dynamic && read_at(fd, dynamic, entries * sizeof *dynamic, it->p_offset))
			return dynamic;
		free(dynamic);
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
	struct needed *found = calloc(1, sizeof *found + room);
	if (!found)
		return NULL;
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
	free(dynamic);
	return found;
}

struct needed *needed_of_loaded(const struct link_map *object)
{
	const char *strings = NULL;
	struct needed *found = calloc(1, sizeof *found);
	if (!found)
		return NULL;
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
