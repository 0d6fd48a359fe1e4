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

/* Unicorn told the page of the access that failed; the address in it is the instruction's. */
void fault_missed(struct core *core)
{
    enum { PAGE_BITS = 10 };
    uint32_t at = core->missed, address;

    if (core->missed_access == UC_MEM_FETCH) {
        core_fault(core, FAULT_FETCH, core->pc, 4, 1);
        return;
    }
    address = access_address(core, core->pc);
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
    core_spend(core, T_EXCEPTION);
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
