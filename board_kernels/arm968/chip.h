/* What a core sees of its chip. Addresses, offsets and bits: SpiNNaker datasheet 2.02 and
 * spinnaker_tools (include/spinnaker.h, include/sark.h). Peripherals are used through the
 * unbuffered alias, so that a write has arrived when the next instruction runs. */
#ifndef CHIP_H
#define CHIP_H

#include <stdint.h>

#define REGISTERS(address) ((volatile uint32_t *)(address))

/* Vectored interrupt controller (PL190). */
#define VIC REGISTERS(0x1f000000)
enum {
    VIC_SELECT = 0x0c / 4,
    VIC_ENABLE = 0x10 / 4,
    VIC_DISABLE = 0x14 / 4,
    VIC_SOFT_CLEAR = 0x1c / 4,
    VIC_DEFAULT = 0x34 / 4,
    VIC_VECTOR = 0x100 / 4,
    VIC_CONTROL = 0x200 / 4,
    VIC_CONTROL_ENABLE = 0x20,
};
enum { SOURCE_DMA_DONE = 12, SOURCE_DMA_ERROR = 13, SOURCE_MAILBOX = 18 };

/* DMA controller: a transfer starts when its descriptor is written; one runs, one waits. */
#define DMA REGISTERS(0x30000000)
enum {
    DMA_SDRAM = 0x04 / 4,
    DMA_TCM = 0x08 / 4,
    DMA_DESCRIPTOR = 0x0c / 4,
    DMA_CONTROL = 0x10 / 4,
    DMA_GLOBAL = 0x18 / 4,
};
#define DMA_DOUBLE_WORDS (1u << 24)
#define DMA_BURST_16 (4u << 21)
#define DMA_TO_SDRAM (1u << 19)
#define DMA_RESET_FIRST 0x3fu  /* abort and clear whatever an earlier program left */
#define DMA_RESET_SECOND 0x0du /* as the vendor's API does */
#define DMA_CLEAR_DONE 8u
#define DMA_INTERRUPTS 0xcc00u /* done, second done, error of the TCM, error of the bus */

/* System controller: interrupts from other cores. */
#define SYSTEM_CONTROLLER REGISTERS(0xf2000000)
enum { SYSTEM_CLEAR_INTERRUPT = 0x0c / 4 };
#define SYSTEM_CODE 0x5ec00000u

/* A core's block in system RAM, at 0xe5007000 + 128 * virtual core number. */
struct vcpu {
    uint32_t r[8];
    uint32_t psr, sp, lr;
    uint8_t rt_code, physical_core, cpu_state, app_id;
    uint32_t message_to_core, message_to_monitor;
    uint8_t command_to_core, command_to_monitor, sw_count_low, sw_count_high;
    uint32_t sw_file, sw_line, time;
    uint8_t app_name[16];
    uint32_t iobuf, sw_ver;
    uint32_t done; /* ours: the sequence number of the last tape that ended */
    uint32_t spare[3];
    uint32_t user[4];
};
enum cpu_state { CPU_RTE = 2, CPU_INIT = 4, CPU_RUN = 7 };

#endif
