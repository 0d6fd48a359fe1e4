/* What the cores of one chip share, beside the SDRAM. It lies in memory that processes may share,
 * so it holds no pointers.
 */
#ifndef EMULATOR_CHIP_H
#define EMULATOR_CHIP_H

#include <stdint.h>

enum { SYSTEM_RAM_SIZE = 0x8000, ROUTER_SIZE = 0x18000, CHIP_CORES = 18, CHIP_LOCKS = 32 };

struct chip {
    uint8_t system_ram[SYSTEM_RAM_SIZE];
    uint32_t router[ROUTER_SIZE / 4];
    uint32_t system[0x1000 / 4]; /* system controller's plain registers */
    uint32_t sdram_controller[0x1000 / 4];
    uint32_t watchdog[0x1000 / 4];
    uint32_t interrupts; /* bit per physical core: system controller's request, VIC source 18 */
    uint32_t ok;         /* bit per physical core */
    uint32_t asleep;     /* bit per physical core */
    uint32_t locks;      /* bit per hardware lock */
    uint32_t flags;      /* the system controller's flag register */
};

/* router.c: index of the first multicast entry that a key matches, or MULTICAST_ENTRIES. */
enum { MULTICAST_ENTRIES = 1024 };
uint32_t router_match(const struct chip *, uint32_t key);

#endif
