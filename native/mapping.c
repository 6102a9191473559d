/* mapping.c - see mapping.h. */
#include "mapping.h"
#include "paths.h"
#include "wire.h"

/* What the intproxy makes of `path`, terminated. False: it stays what it is. */
static bool ask(struct wire_bytes path, char room[WIRE_PATH_BYTES])
{
	struct wire_call call;
	struct wire_map_path message = { .path = path };
	size_t length = wire_put_map_path(call.buffer, sizeof call.buffer, WIRE_ID, message);
	struct wire_path_reply reply = { 0 };
	if (wire_ask(&call, length, WIRE_PATH_REPLY))
		return false;
	bool is_intact = wire_get_path_reply(&call.in, &reply);
	bool is_mapped = is_intact && !reply.error && reply.path.length < WIRE_PATH_BYTES;
	if (is_mapped) {
		memcpy(room, reply.path.at, reply.path.length);
		room[reply.path.length] = '\0';
	}
	wire_finish(&call, is_intact);
	return is_mapped;
}

const char *mapping_of(const char *path, char room[WIRE_PATH_BYTES])
{
	char plain[WIRE_PATH_BYTES];
	if (!path || *path != '/' || !mapping_is_any())
		return path;
	ssize_t length = paths_simplify(path, plain, sizeof plain - 1);
	if (length <= 0)
		return path;
	/* A slash at the end counts where a pattern wants one, and is put back where none did. */
	bool is_directory = length > 1 && path[strlen(path) - 1] == '/';
	plain[length] = '/';
	if (is_directory && patterns_match(&shim.mappings, plain, (size_t)length + 1))
		return ask((struct wire_bytes){ plain, (uint32_t)length + 1 }, room) ? room : path;
	if (!patterns_match(&shim.mappings, plain, (size_t)length) ||
	    !ask((struct wire_bytes){ plain, (uint32_t)length }, room))
		return path;
	size_t mapped = strlen(room);
	if (is_directory && mapped > 0 && room[mapped - 1] != '/' && mapped + 1 < WIRE_PATH_BYTES)
		memcpy(room + mapped, "/", 2);
	return room;
}
