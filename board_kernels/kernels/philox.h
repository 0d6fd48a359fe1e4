/* Philox4x32-10: four random words addressed by a counter (Salmon et al., SC'11, section 3.2.2). */
#ifndef BK_PHILOX_H
#define BK_PHILOX_H

#include <stdint.h>

/* Replace the counter by its four random words. */
static inline void bk__philox4x32(uint32_t word[4], uint64_t seed)
{
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);

    for (int round = 0; round < 10; round++) {
        const uint64_t product0 = UINT64_C(0xD2511F53) * word[0];
        const uint64_t product1 = UINT64_C(0xCD9E8D57) * word[2];
        word[0] = (uint32_t)(product1 >> 32) ^ word[1] ^ key0;
        word[1] = (uint32_t)product1;
        word[2] = (uint32_t)(product0 >> 32) ^ word[3] ^ key1;
        word[3] = (uint32_t)product0;
        key0 += UINT32_C(0x9E3779B9);
        key1 += UINT32_C(0xBB67AE85);
    }
}

#endif
