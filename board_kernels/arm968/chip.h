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

/* System controller: interrupts from and to other cores, the locks between them, and the flags by
 * which the monitor gives the signals SYNC0 and SYNC1: a bit for each virtual core. */
#define SYSTEM_CONTROLLER REGISTERS(0xf2000000)
enum {
    SYSTEM_SET_INTERRUPT = 0x08 / 4,
    SYSTEM_CLEAR_INTERRUPT = 0x0c / 4,
    SYSTEM_FLAG = 0x58 / 4,
    SYSTEM_TEST_AND_SET = 0x100 / 4,
    SYSTEM_TEST_AND_CLEAR = 0x180 / 4,
};
#define SYSTEM_CODE 0x5ec00000u
enum { LOCK_MAILBOX = 1, LOCK_HEAP = 6 };

/* The system software's variables. */
#define SYSTEM_VARIABLES REGISTERS(0xf5007f00)
enum {
    SV_SECONDS = 0x1c / 4,
    SV_IOBUF_BYTES = 0x50 / 4,
    SV_SYSTEM_HEAP = 0xd0 / 4,
    SV_MAILBOX_FLAGS = 0xec / 4,
};
#define MONITORS_PHYSICAL_CORE (*(volatile uint8_t *)0xf5007fa8) /* v2p_map[0] */

/* What a core finds in r0: its application's number below, flags above. */
#define ENTRY_WAIT 0x100u /* hold until START */

enum { MAILBOX_IDLE = 0, MAILBOX_MESSAGE = 1, MAILBOX_PING = 2, MAILBOX_SIGNAL = 3 };
enum {
    SIGNAL_START = 3,
    SIGNAL_PAUSE = 6,
    SIGNAL_CONTINUE = 7,
    SIGNAL_EXIT = 8,
};

/* A core's block in system RAM, at VCPUS + 128 * virtual core number. */
#define VCPUS 0xe5007000u
struct vcpu {
    uint32_t r[8];
    uint32_t psr, sp, lr;
    uint8_t rt_code, physical_core, cpu_state, app_id;
    uint32_t message_to_core, message_to_monitor;
    uint8_t command_to_core, command_to_monitor, sw_count_low, sw_count_high;
    uint32_t sw_file, sw_line, time;
    uint32_t name[4]; /* of the program, text */
    uint32_t iobuf, sw_ver;
    uint32_t done; /* ours: the sequence number of the last tape that ended */
    uint32_t spare[3];
    uint32_t user[4];
};
enum cpu_state {
    CPU_RTE = 2,
    CPU_INIT = 4,
    CPU_WAIT = 5,
    CPU_RUN = 7,
    CPU_SYNC0 = 8,
    CPU_SYNC1 = 9,
    CPU_PAUSE = 10,
    CPU_EXIT = 11,
};

#endif
