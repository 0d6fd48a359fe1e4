/* Host functions in place of inner products: same bits, calibrated cycles.
 *
 * The first three instructions of a substituted routine become a store to a page that no chip has,
 * and the return. The host function gets r0 to r3 and works on the core's memories; it returns the
 * cycles that the routine takes from its first instruction through its return. They pass behind the
 * return, with DMA and interrupts going on. What the routine would have seen of a transfer that
 * ends meanwhile is not: kernels wait for their data before they call.
 */
#include "substitute.h"

#include <string.h>

enum { STUB_CYCLES = 3 + REFILL_CYCLES };

static const struct {
    const char *symbol;
    substitute_fn *function;
} registry[] = {
    {"dot_run", substitute_dot_run},
    {"outer_tile", substitute_outer_tile},
    {NULL, NULL},
};

uint32_t substitute_read(struct core *core, uint32_t offset)
{
    core_fault(core, FAULT_LOAD, SUBSTITUTE_BASE + offset, 4, 0);
    return 0;
}

void substitute_write(struct core *core, uint32_t offset, uint32_t value)
{
    uint32_t arguments[4];
    uint64_t cycles;

    (void)value;
    if (offset / 4 >= core->substitute_count) {
        core_fault(core, FAULT_STORE, SUBSTITUTE_BASE + offset, 4, 0);
        return;
    }
    for (int i = 0; i < 4; i++)
        arguments[i] = core_register(core, UC_ARM_REG_R0 + i);
    cycles = core->substitutes[offset / 4](core, arguments);
    if (core->fault.kind)
        return;
    core->owed = cycles - STUB_CYCLES;
    core->owed_at = OWED_NEXT;
    core->counters->substituted++;
}

/* The symbol of the registry's entry `index`, or NULL behind the last. */
const char *substitute_symbol(uint32_t index)
{
    return registry[index].symbol;
}

/* Puts the host function of the registry's entry in place of the routine at an address. */
int core_substitute(struct core *core, uint32_t index, uint32_t address)
{
    uint32_t slot = core->substitute_count;
    uint32_t stub[3] = {
        0xe3a0c205,            /* mov r12, #SUBSTITUTE_BASE */
        0xe58cc000 | slot * 4, /* str r12, [r12, #slot * 4] */
        0xe12fff1e,            /* bx lr */
    };

    if (slot == SUBSTITUTES || address % 4 || address > ITCM_SIZE - sizeof stub)
        return -1;
    core->substitutes[slot] = registry[index].function;
    core->substitute_count++;
    memcpy(core->itcm + address, stub, sizeof stub);
    return 0;
}
