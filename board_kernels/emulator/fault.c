/* What stopped a core. */
#include "core.h"

/* Only the first fault is kept: what follows is its consequence. */
void core_fault(struct core *core, enum fault_kind kind, uint32_t address, uint32_t size, int exact)
{
    struct fault *f = &core->fault;

    core->unicorn->emu_stop(core->engine);
    if (f->kind != FAULT_NONE)
        return;
    f->kind = kind;
    f->address = address;
    f->size = size;
    f->exact = (uint32_t)exact;
    f->cpsr = core_register(core, UC_ARM_REG_CPSR);
    for (int i = 0; i < 13; i++)
        f->registers[i] = core_register(core, UC_ARM_REG_R0 + i);
    f->registers[13] = core_register(core, UC_ARM_REG_SP);
    f->registers[14] = core_register(core, UC_ARM_REG_LR);
    if (core->checking)
        f->pc = core->now_pc;
    else
        f->pc = exact ? core->pc : core->block_start;
    f->exact = f->exact || core->checking;
    f->registers[15] = f->pc;
}

static uint32_t shifted(uint32_t value, uint32_t word)
{
    uint32_t amount = word >> 7 & 31;

    switch (word >> 5 & 3) {
    case 0:
        return value << amount;
    case 1:
        return amount ? value >> amount : 0;
    case 2:
        return (uint32_t)((int32_t)value >> (amount ? amount : 31));
    default: /* RRX, amount 0, is in no address that a compiler makes */
        return value >> amount | value << (-amount & 31);
    }
}

/* The first address that the load or store `word` uses, before write-back. */
static uint32_t effective_address(const uint32_t registers[16], uint32_t pc, uint32_t word)
{
    uint32_t base = word >> 16 & 15, up = word >> 23 & 1, before = word >> 24 & 1, offset;
    uint32_t address = base == 15 ? pc + 8 : registers[base];

    switch (word >> 25 & 7) {
    case 0: /* halfwords and double words */
        offset = word >> 22 & 1 ? (word >> 4 & 0xf0) | (word & 15) : registers[word & 15];
        break;
    case 2:
        offset = word & 0xfff;
        break;
    case 3:
        offset = shifted(registers[word & 15], word);
        break;
    case 4: /* multiple: the lowest address is accessed first */
        offset = 4 * (uint32_t)__builtin_popcount(word & 0xffff);
        return up ? address + 4 * before : address - offset + 4 * !before;
    default:
        return address;
    }
    return before ? (up ? address + offset : address - offset) : address;
}

/* Unicorn told the page of the access that failed; the address in it is the instruction's. */
void fault_missed(struct core *core)
{
    enum { PAGE_BITS = 10 };
    uint32_t registers[16], at = core->missed, address, word = core_word(core, core->pc);

    if (core->missed_access == UC_MEM_FETCH) {
        core_fault(core, FAULT_FETCH, core->pc, 4, 1);
        return;
    }
    for (int i = 0; i < 13; i++)
        registers[i] = core_register(core, UC_ARM_REG_R0 + i);
    registers[13] = core_register(core, UC_ARM_REG_SP);
    registers[14] = core_register(core, UC_ARM_REG_LR);
    address = effective_address(registers, core->pc, word);
    if (address >> PAGE_BITS == at >> PAGE_BITS)
        at = address;
    core_fault(core, core->missed_access == UC_MEM_WRITE ? FAULT_STORE : FAULT_LOAD, at, 0, 1);
}

/* Enters the handler at a vector as the processor does. */
void core_enter(struct core *core, uint32_t vector, uint32_t mode, uint32_t return_to)
{
    uint32_t cpsr = core_register(core, UC_ARM_REG_CPSR);
    uint32_t masks = NO_IRQ | (vector == VECTOR_FIQ ? NO_FIQ : 0);

    core_set_register(core, UC_ARM_REG_CPSR,
                      (cpsr & ~(uint32_t)(MODE_MASK | CPSR_THUMB)) | mode | masks);
    core_set_register(core, UC_ARM_REG_SPSR, cpsr);
    core_set_register(core, UC_ARM_REG_LR, return_to);
    core->pc = core->block_end = core->next_pc = vector;
    core->counters.cycles += timing_table[T_EXCEPTION].cycles;
    core->scoreboard.time += timing_table[T_EXCEPTION].cycles;
}

/* The image's own handler gets the exception too, to leave its report for the host. */
void fault_enter_handler(struct core *core)
{
    uint32_t pc = core->fault.pc;

    switch (core->fault.kind) {
    case FAULT_UNDEFINED:
        core_enter(core, VECTOR_UNDEFINED, MODE_UNDEFINED, pc + 4);
        break;
    case FAULT_FETCH:
        core_enter(core, VECTOR_PREFETCH, MODE_ABORT, pc + 4);
        break;
    default:
        core_enter(core, VECTOR_DATA, MODE_ABORT, pc + 8);
    }
}
