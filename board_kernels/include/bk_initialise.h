/* Contract of the routine that draws initial weights. */
#ifndef BK_INITIALISE_H
#define BK_INITIALISE_H

#include <stdint.h>

/* sums[i] = sum over call = 0 .. calls-1 of the four words of Philox(first + i, call, tensor,
 * purpose << 24); first + count <= 2^32. */
void bk_sum_words(uint64_t seed, uint32_t tensor, uint32_t purpose, int64_t first, int64_t count,
                  int calls, int64_t *sums);

#endif
