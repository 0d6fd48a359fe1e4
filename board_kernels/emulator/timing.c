#include "timing.h"

#include <string.h>

/* Sources. EJ: ARM9EJ-S TRM (ARM DDI 0222B), table 8.2: the same integer pipeline. E: ARM9E-S TRM
 * (ARM DDI 0165B), chapter 8. 7EJ: ARM7EJ-S TRM (ARM DDI 0214B), 9.7 and 9.9, whose multiplier has
 * the same stages. GCC: the pipeline description arm926ejs.md, same core. SLIDES: S.
 * Temple, "Chip Resources", SpiNNaker workshop 2015. AHB: ARM966E-S TRM (ARM DDI 0164A), applied to
 * this chip. Status. stated: read in the source. derived: from what a source states. recalled:
 * commonly given for this core, not seen in a text; to be measured on a board.
 */
const struct timing timing_table[T_ROWS] = {
    [T_ALU] = {"data processing", 1, 0, 0, 0, "", "EJ", "stated"},
    [T_ALU_REGISTER_SHIFT] = {"data processing, shift by register", 2, 0, 0, 0, "", "EJ", "stated"},
    [T_ALU_PC_ARITHMETIC] = {"ADD, ADC, SUB, SBC, RSB to the program counter", 3, 0, 0, 0, "", "EJ",
                             "stated"},
    [T_ALU_PC_LOGICAL] = {"other data processing to the program counter", 4, 0, 0, 0, "", "EJ",
                          "stated"},
    [T_ALU_PC_SHIFTED] = {"shifted operand to the program counter", 4, 0, 0, 0, "", "EJ", "stated"},
    [T_CLZ] = {"CLZ", 1, 0, 0, 0, "", "EJ", "stated"},
    [T_QADD] = {"QADD, QSUB, QDADD, QDSUB", 1, 1, 1, 1, "", "GCC", "stated"},
    [T_LDR] = {"LDR", 1, 1, 1, 1, "", "EJ; store and accumulator port: GCC", "stated"},
    [T_LDR_SCALED] = {"LDR, scaled register offset", 2, 1, 1, 1, "", "EJ", "stated"},
    [T_LDR_PC] = {"LDR to the program counter", 5, 0, 0, 0, "", "EJ", "stated"},
    [T_LDR_PC_SCALED] = {"same, scaled register offset", 6, 0, 0, 0, "", "EJ", "stated"},
    [T_LDRB] = {"LDRB, LDRSB, LDRH, LDRSH", 1, 2, 1, 1, "", "EJ; store and accumulator port: GCC",
                "stated"},
    [T_LDRB_SCALED] = {"LDRB, scaled register offset", 2, 2, 1, 1, "", "EJ", "derived"},
    [T_LDRD] = {"LDRD", 2, 1, 1, 1, "latency of the second word; the first has none", "EJ",
                "stated"},
    [T_LDM] = {"LDM, n registers", 0, 1, 1, 1, "n cycles; latency of the last word only", "EJ",
               "stated"},
    [T_LDM_ONE] = {"LDM, 1 register", 2, 0, 0, 0, "", "EJ", "stated"},
    [T_LDM_PC] = {"LDM with the program counter", 4, 0, 0, 0, "n + 4 cycles", "", "recalled"},
    [T_STR] = {"STR, STRB, STRH", 1, 0, 0, 0, "", "EJ", "stated"},
    [T_STR_SCALED] = {"STR, scaled register offset", 2, 0, 0, 0, "", "EJ", "stated"},
    [T_STRD] = {"STRD", 2, 0, 0, 0, "", "EJ", "stated"},
    [T_STM] = {"STM, n registers", 0, 0, 0, 0, "n cycles", "EJ", "stated"},
    [T_STM_ONE] = {"STM, 1 register", 2, 0, 0, 0, "", "EJ", "stated"},
    [T_SMLAXY] = {"SMLAxy, SMULxy, SMLAWy, SMULWy", 1, 1, 1, 0, "", "EJ, GCC", "stated"},
    [T_SMLALXY] = {"SMLALxy", 2, 1, 1, 0, "", "GCC", "stated"},
    [T_MUL] = {"MUL, MLA", 2, 1, 1, 0, "", "EJ, GCC, 7EJ", "stated"},
    [T_MULS] = {"MULS, MLAS", 4, 0, 0, 0, "", "EJ, 7EJ", "stated"},
    [T_MULL] = {"SMULL, UMULL, SMLAL, UMLAL", 3, 1, 1, 0, "", "EJ, GCC, 7EJ", "stated"},
    [T_MULLS] = {"same, setting flags", 5, 0, 0, 0, "", "EJ, 7EJ", "stated"},
    [T_BRANCH] = {"B, BL, BX, BLX, taken", 3, 0, 0, 0, "", "E (BX)", "stated"},
    [T_BRANCH_NOT_TAKEN] = {"B, not taken", 1, 0, 0, 0, "", "", "recalled"},
    [T_SKIPPED] = {"condition failed", 1, 0, 0, 0,
                   "in checking mode; a block's cost assumes that conditions hold", "", "recalled"},
    [T_MRS] = {"MRS", 2, 0, 0, 0, "", "7EJ", "derived"},
    [T_MSR_FLAGS] = {"MSR, flags only", 1, 0, 0, 0, "", "", "recalled"},
    [T_MSR] = {"MSR, other fields", 3, 0, 0, 0, "", "", "recalled"},
    [T_SWP] = {"SWP, SWPB", 2, 1, 1, 1, "", "", "recalled"},
    [T_COPROCESSOR] = {"MCR, MRC", 1, 1, 1, 1, "CP15 without busy wait", "", "recalled"},
    [T_EXCEPTION] = {"exception entry", 3, 0, 0, 0, "", "", "recalled"},
    [T_DEVICE_READ] = {"load from DMA, VIC, timer, communications controller", 3, 0, 0, 0,
                       "added to the load's row", "AHB", "derived"},
    [T_DEVICE_WRITE] = {"store to them", 3, 0, 0, 0, "added to the store's row; unbuffered", "AHB",
                        "derived"},
    [T_BUS_READ] = {"load from SDRAM, system RAM, router, system controller", 20, 0, 0, 0,
                    "added to the load's row; more than 100 ns", "SLIDES", "stated"},
    [T_BUS_WRITE] = {"store to them", 4, 0, 0, 0, "added to the store's row; write buffer has room",
                     "", "derived"},
    [T_DMA_START] = {"DMA transfer, before its first byte", 20, 0, 0, 0,
                     "one SDRAM access; only where a bandwidth is given", "SLIDES", "derived"},
};

uint32_t timing_rows(void)
{
    return T_ROWS;
}

#define BIT(r) (uint16_t)(1u << (r))

static void set_row(struct instruction *i, enum timing_row row)
{
    i->row = (uint8_t)row;
    i->cycles = timing_table[row].cycles;
}

/* Rows of instructions that change the program counter hold the refill, which is added apart. */
static void set_change(struct instruction *i, enum timing_row row)
{
    set_row(i, row);
    i->cycles = (uint8_t)(timing_table[row].cycles - REFILL_CYCLES);
    i->changes = 1;
}

static void decode_multiply(uint32_t w, struct instruction *i)
{
    uint32_t high = w >> 16 & 15, low = w >> 12 & 15, flags = w >> 20 & 1;

    i->reads = BIT(w >> 8 & 15) | BIT(w & 15);
    if (w >> 23 & 1) {
        set_row(i, flags ? T_MULLS : T_MULL);
        i->writes = BIT(low) | BIT(high);
        i->accumulates = w >> 21 & 1 ? i->writes : 0;
    } else {
        set_row(i, flags ? T_MULS : T_MUL);
        i->writes = BIT(high);
        i->accumulates = w >> 21 & 1 ? BIT(low) : 0;
    }
}

static void decode_halfword_multiply(uint32_t w, struct instruction *i)
{
    uint32_t operation = w >> 21 & 3, high = w >> 16 & 15, low = w >> 12 & 15;

    set_row(i, operation == 2 ? T_SMLALXY : T_SMLAXY);
    i->reads = BIT(w >> 8 & 15) | BIT(w & 15);
    i->writes = BIT(high);
    if (operation == 2) {
        i->writes |= BIT(low);
        i->accumulates = i->writes;
    } else if (operation == 0 || (operation == 1 && !(w >> 5 & 1))) {
        i->accumulates = BIT(low);
    }
}

static void decode_halfword_transfer(uint32_t w, struct instruction *i)
{
    uint32_t base = w >> 16 & 15, data = w >> 12 & 15, kind = w >> 5 & 3;

    i->reads = BIT(base);
    if (!(w >> 22 & 1))
        i->reads |= BIT(w & 15);
    if (w >> 20 & 1) {
        set_row(i, T_LDRB);
        i->writes = BIT(data);
    } else if (kind == 1) {
        set_row(i, T_STR);
        i->stores = BIT(data);
    } else if (kind == 2) {
        set_row(i, T_LDRD);
        i->writes = BIT(data) | BIT((data + 1) & 15);
    } else {
        set_row(i, T_STRD);
        i->stores = BIT(data) | BIT((data + 1) & 15);
    }
    if (!(w >> 24 & 1) || w >> 21 & 1)
        i->base = (uint8_t)(base + 1);
}

/* The space that MRS, MSR, BX, CLZ, QADD and the halfword multiplies take from data processing. */
static void decode_miscellaneous(uint32_t w, struct instruction *i)
{
    uint32_t low = w >> 4 & 15, operation = w >> 21 & 3;

    if (low & 8) {
        decode_halfword_multiply(w, i);
    } else if (low == 0) {
        if (operation & 1) {
            set_row(i, w >> 16 & 7 ? T_MSR : T_MSR_FLAGS);
            i->reads = BIT(w & 15);
        } else {
            set_row(i, T_MRS);
            i->writes = BIT(w >> 12 & 15);
        }
    } else if (low == 1 && operation == 3) {
        set_row(i, T_CLZ);
        i->reads = BIT(w & 15);
        i->writes = BIT(w >> 12 & 15);
    } else if (low == 5) {
        set_row(i, T_QADD);
        i->reads = BIT(w & 15) | BIT(w >> 16 & 15);
        i->writes = BIT(w >> 12 & 15);
    } else {
        set_change(i, T_BRANCH);
        i->reads = BIT(w & 15);
        i->writes = low == 3 ? BIT(14) : 0;
    }
}

static void decode_data_processing(uint32_t w, struct instruction *i)
{
    uint32_t operation = w >> 21 & 15, destination = w >> 12 & 15;
    int immediate = w >> 25 & 1, by_register = !immediate && (w >> 4 & 1);
    int compares = (operation & 12) == 8, moves = operation == 13 || operation == 15;

    if (!immediate)
        i->reads = BIT(w & 15);
    if (by_register)
        i->reads |= BIT(w >> 8 & 15);
    if (!moves)
        i->reads |= BIT(w >> 16 & 15);
    if (!compares)
        i->writes = BIT(destination);
    if (compares || destination != 15)
        set_row(i, by_register ? T_ALU_REGISTER_SHIFT : T_ALU);
    else if (!immediate && (w & 0xff0))
        set_change(i, T_ALU_PC_SHIFTED);
    else
        set_change(i, operation >= 2 && operation <= 6 ? T_ALU_PC_ARITHMETIC : T_ALU_PC_LOGICAL);
}

static void decode_transfer(uint32_t w, struct instruction *i)
{
    uint32_t base = w >> 16 & 15, data = w >> 12 & 15;
    int by_register = w >> 25 & 1, byte = w >> 22 & 1, scaled = by_register && (w & 0xff0);

    i->reads = BIT(base);
    if (by_register)
        i->reads |= BIT(w & 15);
    if (!(w >> 20 & 1)) {
        set_row(i, scaled ? T_STR_SCALED : T_STR);
        i->stores = BIT(data);
    } else if (data == 15) {
        set_change(i, scaled ? T_LDR_PC_SCALED : T_LDR_PC);
    } else {
        set_row(i, byte ? (scaled ? T_LDRB_SCALED : T_LDRB) : (scaled ? T_LDR_SCALED : T_LDR));
        i->writes = BIT(data);
    }
    if (!(w >> 24 & 1) || w >> 21 & 1)
        i->base = (uint8_t)(base + 1);
}

static void decode_multiple(uint32_t w, struct instruction *i)
{
    uint32_t list = w & 0xffff, base = w >> 16 & 15;
    int count = __builtin_popcount(list), load = w >> 20 & 1;

    i->reads = BIT(base);
    if (load && list >> 15)
        set_change(i, T_LDM_PC);
    else if (count == 1)
        set_row(i, load ? T_LDM_ONE : T_STM_ONE);
    else
        set_row(i, load ? T_LDM : T_STM);
    if (i->row != T_LDM_ONE && i->row != T_STM_ONE)
        i->cycles = (uint8_t)(i->cycles + count);
    if (load)
        i->writes = (uint16_t)list;
    else
        i->stores = (uint16_t)list;
    if (w >> 21 & 1)
        i->base = (uint8_t)(base + 1);
}

static void decode_register_space(uint32_t w, struct instruction *i)
{
    if ((w & 0x0f0000f0) == 0x90) {
        decode_multiply(w, i);
    } else if ((w & 0x0fb00ff0) == 0x01000090) {
        set_row(i, T_SWP);
        i->reads = BIT(w >> 16 & 15);
        i->stores = BIT(w & 15);
        i->writes = BIT(w >> 12 & 15);
    } else if ((w & 0x90) == 0x90) {
        decode_halfword_transfer(w, i);
    } else if ((w & 0x01900000) == 0x01000000) {
        decode_miscellaneous(w, i);
    } else {
        decode_data_processing(w, i);
    }
}

void timing_decode(uint32_t w, struct instruction *i)
{
    memset(i, 0, sizeof *i);
    i->condition = (uint8_t)(w >> 28);
    set_row(i, T_ALU);
    switch (w >> 25 & 7) {
    case 0:
        decode_register_space(w, i);
        break;
    case 1:
        if ((w & 0x01900000) == 0x01000000)
            set_row(i, w >> 16 & 7 ? T_MSR : T_MSR_FLAGS);
        else
            decode_data_processing(w, i);
        break;
    case 2:
    case 3:
        if (i->condition != 15) /* PLD reads nothing that is waited for */
            decode_transfer(w, i);
        break;
    case 4:
        decode_multiple(w, i);
        break;
    case 5:
        set_change(i, T_BRANCH);
        i->writes = i->condition == 15 || w >> 24 & 1 ? BIT(14) : 0;
        break;
    default:
        if ((w & 0x0f000010) == 0x0e000010) {
            set_row(i, T_COPROCESSOR);
            if (w >> 20 & 1)
                i->writes = BIT(w >> 12 & 15);
            else
                i->stores = BIT(w >> 12 & 15);
        }
    }
    i->writes &= 0x7fff; /* nobody waits for the program counter: its change is counted apart */
    i->reads &= 0x7fff;
}

static uint64_t latest(uint64_t time, const uint64_t ready[16], uint32_t registers)
{
    for (; registers; registers &= registers - 1) {
        uint64_t at = ready[__builtin_ctz(registers)];
        if (at > time)
            time = at;
    }
    return time;
}

static uint64_t later_by(uint64_t time, int cycles)
{
    return time + (uint64_t)cycles;
}

void timing_issue(struct scoreboard *s, const struct instruction *i)
{
    const struct timing *row = &timing_table[i->row];
    uint64_t start = latest(s->time, s->alu, i->reads);
    int several = i->row == T_LDM || i->row == T_LDRD;
    int last = 31 - __builtin_clz((unsigned)i->writes | 1);
    int position = 0;

    start = latest(start, s->accumulator, i->accumulates);
    for (uint32_t m = i->stores; m; m &= m - 1, position++) { /* one register stored a cycle */
        uint64_t at = s->store[__builtin_ctz(m)];
        if (at > start + (uint64_t)position)
            start = at - (uint64_t)position;
    }
    s->time = later_by(start, i->cycles);
    for (uint32_t m = i->writes; m; m &= m - 1) {
        int r = __builtin_ctz(m), waits = !several || r == last;
        s->alu[r] = later_by(s->time, waits ? row->alu : 0);
        s->store[r] = later_by(s->time, waits ? row->store : 0);
        s->accumulator[r] = later_by(s->time, waits ? row->accumulator : 0);
    }
    if (i->base && !(i->writes >> (i->base - 1) & 1)) {
        int r = i->base - 1;
        s->alu[r] = s->store[r] = s->accumulator[r] = start + 1;
    }
}
