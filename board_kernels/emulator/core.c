/* Makes, resets and frees a core, and what the host sees of it. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

uint32_t core_register(struct core *core, int id)
{
    uint32_t value = 0;

    core->unicorn->reg_read(core->engine, id, &value);
    return value;
}

void core_set_register(struct core *core, int id, uint32_t value)
{
    core->unicorn->reg_write(core->engine, id, &value);
}

void core_spend(struct core *core, enum timing_row row)
{
    core->counters->cycles += timing_table[row].cycles;
    core->scoreboard.time += timing_table[row].cycles;
}

/* The instruction at an address. */
uint32_t core_word(const struct core *core, uint32_t code_address)
{
    uint32_t word;

    memcpy(&word, core->itcm + (code_address & (ITCM_SIZE - 4)), 4);
    return word;
}

/* Adds a hook for all addresses. */
int core_hook(struct core *core, int kind, void *function)
{
    size_t hook;

    return core->unicorn->hook_add(core->engine, &hook, kind, function, core, 1, 0);
}

enum { TRANSLATIONS_SIZE = 16 << 20 }; /* bytes of host code; the image's 32 KB make 2 to 3 MB */

static int attach(struct core *core)
{
    int error = core->unicorn->open(UC_ARCH_ARM, UC_MODE_ARM946, &core->engine);

    /* the default, 1 GiB a core, is only reserved, but 68 cores would reserve 68 */
    if (!error)
        error = core->unicorn->ctl(core->engine, UC_CTL_WRITE(UC_CTL_TCG_BUFFER_SIZE, 1),
                                   TRANSLATIONS_SIZE);
    if (!error)
        error = memory_attach(core);
    if (!error)
        error = run_attach(core);
    if (!error && core->checking)
        error = check_attach(core);
    return error;
}

void core_close(struct core *core)
{
    if (core->engine)
        core->unicorn->close(core->engine);
    comms_close(core);
    free(core);
}

/* What a core is made of; all of it the host's. Memories are of whole, aligned pages. */
struct parts {
    const struct unicorn *unicorn;
    struct chip *chip;
    uint8_t *sdram, *itcm, *dtcm;
    struct counters *counters;
    uint64_t sdram_bytes;
    double bytes_per_cycle; /* of DMA; 0: a transfer takes no time */
    uint32_t physical, checking;
};

/* Makes a core. NULL with *error set to Unicorn's number, or to -1 without memory. */
struct core *core_open(const struct parts *parts, int *error)
{
    struct core *core = calloc(1, sizeof *core);

    *error = -1;
    if (core == NULL)
        return NULL;
    core->unicorn = parts->unicorn;
    core->chip = parts->chip;
    core->sdram = parts->sdram;
    core->itcm = parts->itcm;
    core->dtcm = parts->dtcm;
    core->counters = parts->counters;
    core->sdram_bytes = parts->sdram_bytes;
    core->dma.bytes_per_cycle = parts->bytes_per_cycle;
    core->physical = parts->physical;
    core->checking = parts->checking;
    *error = attach(core);
    if (*error) {
        core_close(core);
        return NULL;
    }
    return core;
}

const struct fault *core_fault_report(const struct core *core)
{
    return &core->fault;
}

void core_on_packet(struct core *core, packet_sent_fn *sent, void *context)
{
    core->comms.sent = sent;
    core->comms.context = context;
}

/* Asks for an interrupt: the system controller's by its register, others as by software. */
void core_interrupt(struct core *core, uint32_t source)
{
    if (source == SOURCE_CPU)
        __atomic_fetch_or(&core->chip->interrupts, 1u << core->physical, __ATOMIC_SEQ_CST);
    else
        core->vic.soft |= 1u << source;
}

/* Starts over at an address with devices at rest; the TCMs hold what was put there. */
void core_reset(struct core *core, uint32_t address, uint32_t argument)
{
    /* SP804: the counter starts at its end, so that a timer enabled before it is loaded is quiet */
    static const struct timer idle = {.control = 0x20, .value = UINT32_MAX, .expires = NEVER};

    memset(core->counters, 0, sizeof *core->counters);
    memset(&core->fault, 0, sizeof core->fault);
    memset(&core->vic, 0, sizeof core->vic);
    memset(&core->scoreboard, 0, sizeof core->scoreboard);
    double bytes_per_cycle = core->dma.bytes_per_cycle;
    memset(&core->dma, 0, sizeof core->dma);
    core->dma.bytes_per_cycle = bytes_per_cycle;
    core->timers[0] = core->timers[1] = idle;
    core->lines = 0;
    comms_reset(core);
    core->substitute_count = 0;
    core->owed = 0;
    core->asleep = core->trapped = 0;
    core->pc = core->block_end = core->next_pc = address;
    run_forget_code(core);
    __atomic_fetch_and(&core->chip->interrupts, ~(1u << core->physical), __ATOMIC_SEQ_CST);
    core_set_register(core, UC_ARM_REG_CPSR, MODE_SUPERVISOR | NO_IRQ | NO_FIQ);
    core_set_register(core, UC_ARM_REG_R0, argument);
}
