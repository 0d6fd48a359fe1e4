/* The router's multicast table: a key matches an entry if the bits under its mask are the entry's
 * key; the first that matches counts (datasheet 2.02, section 10).
 */
#include "chip.h"

enum { KEYS = 0x8000 / 4, MASKS = 0xc000 / 4 };

uint32_t router_match(const struct chip *chip, uint32_t key)
{
    const uint32_t *keys = chip->router + KEYS, *masks = chip->router + MASKS;
    uint32_t i = 0;

    while (i < MULTICAST_ENTRIES && (key & masks[i]) != keys[i])
        i++;
    return i;
}
