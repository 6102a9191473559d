/* shelf.h - what shelf.c and shelf_sums.c share: one file that programs of a run write, as the intproxy holds it. */
#ifndef MIRRORD_SHELF_H
#define MIRRORD_SHELF_H

#include <stdint.h>

#define SHELF_BLOCK_BYTES 4096u

/* Sums of the blocks as the target has them; what has no chunk is a hole there. See shelf_sums.c. */
struct sums {
	struct sum **chunks;
	uint64_t count;
	/* Where the file was last found to have no hole. */
	uint64_t data_from, data_until;
};

/* Keys of the sums: random, one set for each shelf. */
struct sum_keys {
	uint64_t words[SHELF_BLOCK_BYTES / sizeof(uint64_t)];
};

int32_t sums_start(struct sum_keys *keys);
/* The target has these bytes at `offset`, a multiple of the block size, and zeros up to the end of the last block. */
int32_t sums_learn(struct sums *sums, const struct sum_keys *keys, uint64_t offset, const uint8_t *data, uint32_t length);
/* The next bytes of `fd` in [from, until) that the target has not, put into `into`; their number, 0 at the end, or
 * -errno. `words`: their offset, and where to go on. They count as sent from now on. */
int32_t sums_scan(struct sums *sums, const struct sum_keys *keys, int fd, uint64_t from, uint64_t until, uint8_t *into,
		  uint32_t capacity, uint64_t words[2]);
/* The target's file ends at `size` now. */
void sums_cut(struct sums *sums, uint64_t size);
/* What the target has is not sure any more: all that was ever sent is to be sent again. */
void sums_doubt(struct sums *sums);
void sums_free(struct sums *sums);

#endif
