/* What gcc may call without being asked. */
#include <stddef.h>
#include <stdint.h>

#pragma GCC optimize("Os", "no-tree-loop-distribute-patterns")

void *memset(void *to, int value, size_t bytes)
{
    uint8_t *at = to;
    const uint32_t word = (uint8_t)value * UINT32_C(0x01010101);

    for (; bytes > 0 && ((uintptr_t)at & 3); bytes--)
        *at++ = (uint8_t)value;
    for (; bytes >= 16; bytes -= 16, at += 16) {
        uint32_t *words = (uint32_t *)at;
        words[0] = words[1] = words[2] = words[3] = word;
    }
    for (; bytes > 0; bytes--)
        *at++ = (uint8_t)value;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    uint8_t *at = to;
    const uint8_t *source = from;

    if ((((uintptr_t)at | (uintptr_t)source) & 3) == 0)
        for (; bytes >= 4; bytes -= 4, at += 4, source += 4)
            *(uint32_t *)at = *(const uint32_t *)source;
    for (; bytes > 0; bytes--)
        *at++ = *source++;
    return to;
}
