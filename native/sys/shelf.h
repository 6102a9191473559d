/* shelf.h - what shelf.c and shelf_sums.c share: one file that programs of a run write, as the intproxy holds it. */
#ifndef MIRRORD_SHELF_H
#define MIRRORD_SHELF_H

#include <stdint.h>

#define SHELF_BLOCK_BYTES 4096u

/* Sums of the blocks as the target has them; what has no chunk is a hole there. See shelf_sums.c. */
struct sums {
	struct chunk **chunks;
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
/* The next bytes of `fd` in [from, until) that the target has not, put into `into`; how much that is, 0 at the end, or
 * -errno. `words`: their offset, where to go on, how many ranges they are (as the agent's wire has Patch; 0: one), and the end of
 * the last. They count as sent from now on. */
int32_t sums_scan(struct sums *sums, const struct sum_keys *keys, int fd, uint64_t from, uint64_t until, uint8_t *into,
		  uint32_t capacity, uint64_t words[4]);
/* The target has these bytes, by others: what the program has not changed becomes so in `fd`, too. 0 or -errno. */
int32_t sums_merge(struct sums *sums, const struct sum_keys *keys, int fd, uint64_t offset, const uint8_t *data,
		   uint32_t length);
/* The target's file ends at `size` now. */
void sums_cut(struct sums *sums, const struct sum_keys *keys, uint64_t size);
/* What the target has in [from, until) is not sure any more: what was ever sent of it is to be sent again. */
void sums_doubt(struct sums *sums, uint64_t from, uint64_t until);
void sums_free(struct sums *sums);

#endif
