/* Instruction timing of the ARM9E-S integer core, from a table, and the scoreboard that applies it.
 *
 * A result's latency is stated for three kinds of reader, because the pipeline forwards them at
 * different times: ALU, address and multiplier inputs; a store's data ("C port", no forwarding);
 * and the accumulator input of a multiply. Latency 0: usable by the next instruction at once.
 */
#ifndef EMULATOR_TIMING_H
#define EMULATOR_TIMING_H

#include <stdint.h>

enum timing_row {
    T_ALU,
    T_ALU_REGISTER_SHIFT,
    T_ALU_PC_ARITHMETIC,
    T_ALU_PC_LOGICAL,
    T_ALU_PC_SHIFTED,
    T_CLZ,
    T_QADD,
    T_LDR,
    T_LDR_SCALED,
    T_LDR_PC,
    T_LDR_PC_SCALED,
    T_LDRB,
    T_LDRB_SCALED,
    T_LDRD,
    T_LDM,
    T_LDM_ONE,
    T_LDM_PC,
    T_STR,
    T_STR_SCALED,
    T_STRD,
    T_STM,
    T_STM_ONE,
    T_SMLAXY,
    T_SMLALXY,
    T_MUL,
    T_MULS,
    T_MULL,
    T_MULLS,
    T_BRANCH,
    T_BRANCH_NOT_TAKEN,
    T_SKIPPED,
    T_MRS,
    T_MSR_FLAGS,
    T_MSR,
    T_SWP,
    T_COPROCESSOR,
    T_EXCEPTION,
    T_DEVICE_READ,
    T_DEVICE_WRITE,
    T_BUS_READ,
    T_BUS_WRITE,
    T_DMA_START,
    T_ROWS,
};

struct timing {
    const char *name;
    uint8_t
        cycles; /* to issue; LDM, STM: beside one per register; a taken branch's refill included */
    uint8_t alu, store, accumulator; /* latency of the result to each kind of reader */
    const char *note;
    const char *source;
    const char *status;
};

extern const struct timing timing_table[T_ROWS];
uint32_t timing_rows(void);

/* Cycles that a change of the program counter adds to the rows of instructions that make one. */
enum { REFILL_CYCLES = 2 };

struct instruction {
    uint8_t row;
    uint8_t condition;
    uint8_t cycles;  /* to issue, without the refill of a taken branch */
    uint8_t changes; /* the program counter */
    uint16_t reads, stores, accumulates, writes; /* register masks, by kind of reader */
    uint8_t base;                                /* 1 + register written back at once, or 0 */
};

struct scoreboard {
    uint64_t time;
    uint64_t alu[16], store[16], accumulator[16]; /* cycle from which each kind may read it */
};

void timing_decode(uint32_t word, struct instruction *);
void timing_issue(struct scoreboard *, const struct instruction *);

#endif
