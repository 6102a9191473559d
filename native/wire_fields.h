/* wire_fields.h - the kinds of field of the layer wire: little-endian, as src/proto/codec.ts has them.
 *
 * Nothing here allocates or follows a length that was not checked. A write past the room is remembered, not done:
 * wire_end() then answers 0.
 */
#ifndef MIRRORD_WIRE_FIELDS_H
#define MIRRORD_WIRE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the layer wire is written for little-endian machines"
#endif

/* u32 length of what follows, u8 type, u32 id. */
#define WIRE_HEAD_BYTES 9u

struct wire_bytes {
	const void *at;
	uint32_t length;
};

struct wire_out {
	uint8_t *frame, *at, *end;
	bool is_full;
};

/* `missing`: bytes of the frame that are still in the socket, behind `end`. */
struct wire_in {
	const uint8_t *at, *end;
	size_t missing;
};

static inline void wire_put(struct wire_out *out, const void *from, size_t length)
{
	if ((size_t)(out->end - out->at) < length) {
		out->is_full = true;
		return;
	}
	if (length)
		memcpy(out->at, from, length);
	out->at += length;
}

static inline bool wire_get(struct wire_in *in, void *into, size_t length)
{
	if ((size_t)(in->end - in->at) < length)
		return false;
	memcpy(into, in->at, length);
	in->at += length;
	return true;
}

#define WIRE_NUMBER(kind, type)                                                                                        \
	static inline void wire_put_##kind(struct wire_out *out, type value)                                           \
	{                                                                                                              \
		wire_put(out, &value, sizeof value);                                                                   \
	}                                                                                                              \
	static inline bool wire_get_##kind(struct wire_in *in, type *value)                                            \
	{                                                                                                              \
		return wire_get(in, value, sizeof *value);                                                             \
	}
WIRE_NUMBER(u8, uint8_t)
WIRE_NUMBER(u16, uint16_t)
WIRE_NUMBER(u32, uint32_t)
WIRE_NUMBER(u64, uint64_t)
WIRE_NUMBER(i32, int32_t)
WIRE_NUMBER(i64, int64_t)
#undef WIRE_NUMBER

static inline void wire_put_bool(struct wire_out *out, bool value)
{
	wire_put_u8(out, value ? 1 : 0);
}

static inline bool wire_get_bool(struct wire_in *in, bool *value)
{
	uint8_t byte;
	if (!wire_get_u8(in, &byte))
		return false;
	*value = byte != 0;
	return true;
}

static inline void wire_put_bytes(struct wire_out *out, struct wire_bytes value)
{
	wire_put_u32(out, value.length);
	wire_put(out, value.at, value.length);
}

static inline bool wire_get_bytes(struct wire_in *in, struct wire_bytes *value)
{
	if (!wire_get_u32(in, &value->length) || (size_t)(in->end - in->at) < value->length)
		return false;
	value->at = in->at;
	in->at += value->length;
	return true;
}

#define wire_put_str wire_put_bytes
#define wire_get_str wire_get_bytes

/* The last field of a message: reaches exactly to the end of the frame, of which `missing` bytes are yet to come.
 * Its first bytes are at `value->at`, up to `in->end`. */
static inline bool wire_tail(struct wire_in *in, struct wire_bytes *value)
{
	if (!wire_get_u32(in, &value->length) || (size_t)(in->end - in->at) + in->missing != value->length)
		return false;
	value->at = in->at;
	in->at = in->end;
	return true;
}

/* Nothing is left in the buffer: a frame with bytes too many is malformed. */
static inline bool wire_is_done(const struct wire_in *in)
{
	return in->at == in->end;
}

static inline struct wire_out wire_begin(uint8_t *frame, size_t room, uint8_t type, uint32_t id)
{
	struct wire_out out = { .frame = frame, .at = frame, .end = frame + room };
	wire_put_u32(&out, 0);
	wire_put_u8(&out, type);
	wire_put_u32(&out, id);
	return out;
}

/* The length of the frame, or 0 when it did not fit. */
static inline size_t wire_end(struct wire_out *out)
{
	if (out->is_full)
		return 0;
	uint32_t length = (uint32_t)(out->at - out->frame);
	uint32_t rest = length - 4;
	memcpy(out->frame, &rest, sizeof rest);
	return length;
}

#endif
