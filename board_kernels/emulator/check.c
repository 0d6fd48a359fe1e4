/* Checking mode: every instruction through the scoreboard, every access looked at. */
#include "core.h"

static bool holds(uint32_t condition, uint32_t cpsr)
{
    bool n = cpsr >> 31 & 1, z = cpsr >> 30 & 1, c = cpsr >> 29 & 1, v = cpsr >> 28 & 1, r;

    switch (condition >> 1) {
    case 0:
        r = z;
        break;
    case 1:
        r = c;
        break;
    case 2:
        r = n;
        break;
    case 3:
        r = v;
        break;
    case 4:
        r = c && !z;
        break;
    case 5:
        r = n == v;
        break;
    case 6:
        r = !z && n == v;
        break;
    default:
        return true;
    }
    return condition & 1 ? !r : r;
}

/* Checking mode: every instruction through the scoreboard. */
static void on_instruction(struct uc_struct *engine, uint64_t address, uint32_t size, void *context)
{
    struct core *core = context;
    struct instruction i;

    (void)engine;
    timing_decode(core_word(core, (uint32_t)address), &i);
    core->now_pc = (uint32_t)address;
    if (core->now_pc != core->next_pc)
        core->scoreboard.time += REFILL_CYCLES;
    core->next_pc = core->now_pc + size;
    if (holds(i.condition, core_register(core, UC_ARM_REG_CPSR)))
        timing_issue(&core->scoreboard, &i);
    else
        core->scoreboard.time += timing_table[T_SKIPPED].cycles;
    core->counters.checked_cycles = core->scoreboard.time;
}

/* Checking mode: LDRD and STRD, seen here as two words, want multiples of 8. */
static void on_access(struct uc_struct *engine, int access, uint64_t address, int size,
                      int64_t value, void *context)
{
    struct core *core = context;
    struct instruction i;
    uint32_t wanted = (uint32_t)size;

    (void)engine, (void)access, (void)value;
    timing_decode(core_word(core, core->now_pc), &i);
    if (i.row == T_LDRD || i.row == T_STRD) {
        if (core->pair_end == address) {
            core->pair_end = 0;
        } else {
            core->pair_end = (uint32_t)address + 4;
            wanted = 8;
        }
    }
    if (address % wanted)
        core_fault(core, FAULT_UNALIGNED, (uint32_t)address, wanted, 1);
}

int check_attach(struct core *core)
{
    int error = core_hook(core, UC_HOOK_CODE, HOOK(on_instruction));

    if (!error)
        error = core_hook(core, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, HOOK(on_access));
    return error;
}
