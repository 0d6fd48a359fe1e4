/* Checking mode: every instruction through the scoreboard, every access's address looked at. Hooks
 * on memory itself would be twenty times slower.
 */
#include "core.h"

enum { ALWAYS = 14 };

static const struct instruction *decoded(struct core *core, uint32_t address)
{
    uint32_t index = (address & (ITCM_SIZE - 1)) / 4;

    if (core->decoded_word[index] != core_word(core, address)) {
        core->decoded_word[index] = core_word(core, address);
        timing_decode(core->decoded_word[index], &core->decoded[index]);
    }
    return &core->decoded[index];
}

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

/* What the address of an access has to be a multiple of. */
static uint32_t alignment(const struct instruction *i, uint32_t word)
{
    switch (i->row) {
    case T_LDRD:
    case T_STRD:
        return 8;
    case T_LDRB:
    case T_LDRB_SCALED:
    case T_STR:
    case T_STR_SCALED:
        if ((word >> 25 & 7) == 0)
            return word >> 5 & 1 ? 2 : 1; /* halfword, signed byte */
        return word >> 22 & 1 ? 1 : 4;
    case T_LDR:
    case T_LDR_SCALED:
    case T_LDR_PC:
    case T_LDR_PC_SCALED:
    case T_LDM:
    case T_LDM_ONE:
    case T_LDM_PC:
    case T_STM:
    case T_STM_ONE:
        return 4;
    default:
        return 1;
    }
}

static void on_instruction(struct uc_struct *engine, uint64_t address, uint32_t size, void *context)
{
    struct core *core = context;
    const struct instruction *i = decoded(core, (uint32_t)address);

    (void)engine;
    core->now_pc = (uint32_t)address;
    if (core->now_pc != core->next_pc)
        core->scoreboard.time += REFILL_CYCLES;
    core->next_pc = core->now_pc + size;
    if (i->condition < ALWAYS && !holds(i->condition, core_register(core, UC_ARM_REG_CPSR))) {
        core->scoreboard.time += timing_table[T_SKIPPED].cycles;
    } else {
        uint32_t wanted = alignment(i, core_word(core, core->now_pc));
        timing_issue(&core->scoreboard, i);
        if (wanted > 1 && access_address(core, core->now_pc) % wanted)
            core_fault(core, FAULT_UNALIGNED, access_address(core, core->now_pc), wanted, 1);
    }
    core->counters->checked_cycles = core->scoreboard.time;
}

int check_attach(struct core *core)
{
    for (uint32_t at = 0; at < ITCM_SIZE; at += 4)
        timing_decode(0, &core->decoded[at / 4]);
    return core_hook(core, UC_HOOK_CODE, HOOK(on_instruction));
}
