/* The primitives of bk_arith.h that take 64 bits and any shift, compiled once: calls are cheaper
 * than their code in every kernel. */
#ifndef ROUND_H
#define ROUND_H

#include <stdint.h>

/* clamp(half_up(v, shift)) to +-limit, limit < 2^16, for |v| < 2^62 and every shift. */
int32_t half_up_clamped(int64_t v, int32_t shift, int32_t limit);

/* The same, counting where the clamp changes the value; limit < 2^15. */
int32_t half_up_counted(int64_t v, int32_t shift, int32_t limit, uint32_t *saturated);

/* The same for 32 bits: for shifts 1 .. 31 half up is v >> shift plus the last bit shifted out. */
int32_t half_up_counted32(int32_t v, int32_t shift, int32_t limit, uint32_t *saturated);

/* t * 2^shift, half up where shift is negative; |t| < 2^62 afterwards. */
int64_t shifted(int64_t t, int32_t shift);

#endif
