/* One emulated ARM968 core: memories, devices, cycle count. Memory map, registers and interrupt
 * numbers are the SpiNNaker 1 datasheet's (version 2.02) and spinnaker_tools' spinnaker.h.
 */
#ifndef EMULATOR_CORE_H
#define EMULATOR_CORE_H

#include "chip.h"
#include "timing.h"
#include "unicorn_abi.h"

enum { ITCM_BASE = 0, ITCM_SIZE = 0x8000, DTCM_BASE = 0x400000, DTCM_SIZE = 0x10000 };
enum { VECTOR_UNDEFINED = 0x04, VECTOR_SUPERVISOR = 0x08, VECTOR_PREFETCH = 0x0c };
enum { VECTOR_DATA = 0x10, VECTOR_IRQ = 0x18, VECTOR_FIQ = 0x1c };
enum { SOURCE_TIMER1 = 4, SOURCE_TIMER2 = 5, SOURCE_RX_READY = 6, SOURCE_TX_EMPTY = 11 };
enum { SOURCE_DMA_DONE = 12, SOURCE_DMA_ERROR = 13, SOURCE_CPU = 18, SOURCE_TX_NOT_FULL = 23 };
enum { SOURCE_RX_TYPE = 24 }; /* and the three after it: multicast, p2p, neighbour, fixed route */

enum { MODE_FIQ = 0x11, MODE_IRQ = 0x12, MODE_SUPERVISOR = 0x13, MODE_ABORT = 0x17 };
enum { MODE_UNDEFINED = 0x1b, MODE_MASK = 0x1f, CPSR_THUMB = 0x20, NO_FIQ = 0x40, NO_IRQ = 0x80 };

#define NEVER UINT64_MAX
#define SUBSTITUTE_BASE 0x50000000u /* unallocated on the chip */
enum { SUBSTITUTES = 64 };
#define OWED_NEXT 0xffffffffu

enum stop { STOP_SLEEPING = 0, STOP_CYCLES = 1, STOP_FAULT = 2 };

enum fault_kind {
    FAULT_NONE,
    FAULT_LOAD,       /* outside memory */
    FAULT_STORE,      /* outside memory */
    FAULT_FETCH,      /* outside the ITCM */
    FAULT_UNDEFINED,  /* instruction */
    FAULT_THUMB,      /* state, for which there is no timing */
    FAULT_UNALIGNED,  /* in checking mode */
    FAULT_DMA,        /* a register written wrongly or a transfer outside memory */
    FAULT_DEVICE,     /* an access a device does not take */
    FAULT_SUBSTITUTE, /* a host function was given an address outside memory */
    FAULT_EMULATOR,   /* Unicorn gave up for a reason of its own: error number in address */
};

struct fault {
    uint32_t kind;
    uint32_t address; /* of the access */
    uint32_t size;    /* of the access, bytes */
    uint32_t exact;   /* pc is the instruction's address; else that of the block it is in */
    uint32_t pc;
    uint32_t cpsr;
    uint32_t registers[16]; /* r15 is pc */
};

struct counters {
    uint64_t cycles;
    uint64_t instructions;
    uint64_t dma_bytes;
    uint64_t dma_transfers;
    uint64_t bus_reads;  /* by load instructions, outside the TCMs */
    uint64_t bus_writes; /* by store instructions, outside the TCMs */
    uint64_t interrupts;
    uint64_t sleep_cycles; /* part of cycles */
    uint64_t substituted;  /* calls of host functions */
    uint64_t packets_sent;
    uint64_t packets_received;
    uint64_t packets_dropped; /* by the router, because the core did not take them in time */
    uint64_t checked_cycles;  /* checking mode: by the model of every instruction */
};

struct block {
    uint32_t size; /* bytes; 0: not analysed yet */
    uint32_t cycles;
};

struct dma_transfer {
    uint32_t system, tcm, description;
    uint64_t done_at; /* cycle; meaningful for the active one */
};

struct dma {
    struct dma_transfer queue[2]; /* [0] active, [1] waiting */
    uint32_t queued;
    uint32_t system, tcm, description; /* as written last */
    uint32_t done;                     /* finished and not yet acknowledged, at most 2 */
    uint32_t errors;                   /* STAT bits 12 to 16 */
    uint32_t global_control, timeout, statistics;
    double bytes_per_cycle; /* 0: a transfer takes no time */
};

struct timer {
    uint32_t load, control, raised;
    uint64_t since; /* cycle at which the counter held `value` */
    uint32_t value;
    uint64_t expires; /* cycle, or NEVER */
};

struct vic {
    uint32_t select, enable, soft, protection;
    uint32_t vector[16], slot[16], default_vector;
    uint32_t in_service; /* bit per slot, bit 16 for the default vector */
};

struct packet {
    uint32_t control; /* the control byte */
    uint32_t key;
    uint32_t payload;
    uint32_t route; /* 0 to 5 a link it is sent to or came by, 7 as routed */
};

typedef void packet_sent_fn(void *context, const struct packet *);

/* A packet on its way to the core: when it is at the router's output, and how many cycles the
 * router tries to hand it over before it drops it (NEVER: without end). */
struct arrival {
    struct packet packet;
    uint64_t at, patience;
};

struct comms {
    uint32_t control, data, source;
    struct packet received;
    uint32_t full;
    struct arrival *waiting; /* in the network, for the slot to come free */
    uint32_t first, count, capacity;
    uint64_t free_since;   /* cycle from which the router's output tries the first of them */
    struct packet dropped; /* the last */
    packet_sent_fn *sent;
    void *context;
};

struct core;
typedef uint64_t substitute_fn(struct core *, const uint32_t arguments[4]);

struct core {
    const struct unicorn *unicorn;
    struct uc_struct *engine;
    struct chip *chip;
    uint8_t *sdram;
    uint64_t sdram_bytes;
    uint32_t physical;
    uint8_t *itcm, *dtcm;
    struct counters *counters; /* the host's, as are the TCMs */
    struct fault fault;
    struct dma dma;
    struct timer timers[2];
    struct vic vic;
    struct comms comms;
    uint32_t lines;      /* interrupt requests of the devices, without the VIC's software ones */
    uint64_t next_event; /* cycle at which a device changes, or the run ends */
    uint64_t limit;      /* cycle at which the run ends */
    uint32_t asleep;
    uint32_t trapped;               /* the host wants an undefined instruction to happen here */
    uint32_t pc;                    /* to go on at */
    uint32_t interrupted;           /* the stretch ended at a block's start, on purpose */
    uint32_t exception;             /* Unicorn's number of the one that ended the stretch, or 0 */
    uint32_t missed, missed_access; /* last address outside memory, and UC_MEM_ */
    uint32_t reload;                /* code has changed: forget what was made of it */
    uint32_t block_start, block_end;
    struct block blocks[ITCM_SIZE / 4];

    uint32_t checking;
    uint32_t now_pc, next_pc; /* checking mode */
    struct scoreboard scoreboard;
    struct instruction decoded[ITCM_SIZE / 4]; /* of the words beside it */
    uint32_t decoded_word[ITCM_SIZE / 4];

    substitute_fn *substitutes[SUBSTITUTES];
    uint32_t substitute_count;
    uint64_t owed;    /* cycles of the last call that have not passed yet */
    uint32_t owed_at; /* where they pass: the block behind the call, OWED_NEXT until it is met */
};

/* core.c */
uint32_t core_register(struct core *, int id);
void core_set_register(struct core *, int id, uint32_t value);
void core_spend(struct core *, enum timing_row); /* cycles beside the instructions' */
uint32_t core_word(const struct core *, uint32_t code_address);
int core_hook(struct core *, int kind, void *function);
#define HOOK(function) ((void *)(uintptr_t)(function))

/* fault.c: notes the first fault and ends the stretch; `exact`: at the program counter's
 * instruction, else somewhere in the block under way. An address outside memory is worked out from
 * the instruction.
 */
void core_fault(struct core *, enum fault_kind, uint32_t address, uint32_t size, int exact);
void fault_missed(struct core *);
void fault_enter_handler(struct core *);
void core_enter(struct core *, uint32_t vector, uint32_t mode, uint32_t return_to);

/* address.c: the first address that the load or store at `pc` uses, before it runs. */
uint32_t access_address(struct core *, uint32_t pc);

/* run.c, check.c */
int run_attach(struct core *);
void run_forget_code(struct core *);
int check_attach(struct core *);

/* memory.c: the host's pointer to bytes of a core's memory, or NULL if not all lie in one. */
void *core_pointer(struct core *, uint32_t address, uint64_t bytes);
int memory_attach(struct core *);
bool memory_has(const struct core *, uint32_t address, int access);

/* devices; offsets in bytes, words only */
uint32_t dma_read(struct core *, uint32_t offset);
void dma_write(struct core *, uint32_t offset, uint32_t value);
void dma_advance(struct core *);
uint64_t dma_next(const struct core *);
uint32_t timer_read(struct core *, uint32_t offset);
void timer_write(struct core *, uint32_t offset, uint32_t value);
void timer_advance(struct core *);
uint64_t timer_next(const struct core *);
uint32_t vic_read(struct core *, uint32_t offset);
void vic_write(struct core *, uint32_t offset, uint32_t value);
bool vic_irq(const struct core *);
bool vic_fiq(const struct core *);
uint32_t comms_read(struct core *, uint32_t offset);
void comms_write(struct core *, uint32_t offset, uint32_t value);
void comms_reset(struct core *);
void comms_advance(struct core *);
uint64_t comms_next(const struct core *);
void comms_close(struct core *);
uint32_t system_read(struct core *, uint32_t offset);
void system_write(struct core *, uint32_t offset, uint32_t value);
void devices_schedule(struct core *);

/* substitute.c */
uint32_t substitute_read(struct core *, uint32_t offset);
void substitute_write(struct core *, uint32_t offset, uint32_t value);

#endif
