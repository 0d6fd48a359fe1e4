/* Runs a core: stretches of Unicorn between the points where an interrupt, the end of a run, a
 * fault or sleep needs the host. Cycles are counted by basic block: its cost is worked out when it
 * is first met and added each time it runs.
 */
#include "core.h"

#include <string.h>

enum { EXCEPTION_UNDEFINED = 1, EXCEPTION_SUPERVISOR = 2 }; /* Unicorn's numbers */
#define WAIT_FOR_INTERRUPT 0xee070f90u /* MCR p15, 0, rN, c7, c0, 4: without its register */
/* No instruction lies there; Unicorn looks the page up, so it has to exist. */
enum { NOWHERE = ITCM_SIZE - 2 };
enum { FAULT_HANDLER_CYCLES = 100000 };

static uint64_t next_of_devices(const struct core *core)
{
    uint64_t dma = dma_next(core), timer = timer_next(core), packet = comms_next(core);
    uint64_t first = dma < timer ? dma : timer;

    return first < packet ? first : packet;
}

void devices_schedule(struct core *core)
{
    uint64_t next = next_of_devices(core);

    core->next_event = core->reload ? 0 : next < core->limit ? next : core->limit;
}

static void advance_devices(struct core *core)
{
    dma_advance(core);
    timer_advance(core);
    comms_advance(core);
    devices_schedule(core);
}

static bool requested(const struct core *core)
{
    uint32_t chip = __atomic_load_n(&core->chip->interrupts, __ATOMIC_RELAXED);
    uint32_t cpu = (chip >> core->physical & 1) << SOURCE_CPU;

    return (core->lines | core->vic.soft | cpu) & core->vic.enable;
}

/* The vector of the interrupt that the core would take now, or 0. */
static uint32_t due_vector(struct core *core)
{
    uint32_t cpsr;

    if (!requested(core))
        return 0;
    cpsr = core_register(core, UC_ARM_REG_CPSR);
    if (!(cpsr & NO_FIQ) && vic_fiq(core))
        return VECTOR_FIQ;
    return !(cpsr & NO_IRQ) && vic_irq(core) ? VECTOR_IRQ : 0;
}

static void analyse(struct core *core, uint32_t address, uint32_t size, struct block *block)
{
    struct scoreboard s = {0};
    struct instruction i;

    for (uint32_t at = address; at < address + size; at += 4) {
        timing_decode(core_word(core, at), &i);
        timing_issue(&s, &i);
    }
    block->size = size;
    block->cycles = (uint32_t)s.time;
    if (core_register(core, UC_ARM_REG_CPSR) & CPSR_THUMB)
        core_fault(core, FAULT_THUMB, address, 2, 1);
}

/* Lets the cycles of a substituted routine pass, behind its return, with devices and interrupts on
 * time. An interrupt or the end of the run cuts them: the rest passes when the core is back here.
 */
static void pass_owed(struct core *core)
{
    struct counters *counters = core->counters;

    if (core->owed_at == OWED_NEXT)
        core->owed_at = core->pc;
    if (core->owed_at != core->pc)
        return;
    while (core->owed && counters->cycles < core->limit && !core->reload && !due_vector(core)) {
        uint64_t step =
            core->next_event > counters->cycles ? core->next_event - counters->cycles : 0;
        if (step > core->owed)
            step = core->owed;
        counters->cycles += step;
        core->scoreboard.time += step;
        core->owed -= step;
        if (counters->cycles >= core->next_event)
            advance_devices(core);
    }
}

/* Takes an interrupt that is due at the block about to run. Unicorn goes on at the vector. */
static bool take_interrupt(struct core *core)
{
    uint32_t vector = due_vector(core);

    if (!vector)
        return false;
    core->counters->interrupts++;
    core_enter(core, vector, vector == VECTOR_FIQ ? MODE_FIQ : MODE_IRQ, core->pc + 4);
    return true;
}

/* Does what is due at the block about to run. False if something else runs instead. */
static bool attend(struct core *core)
{
    struct counters *counters = core->counters;

    if (core->owed)
        pass_owed(core);
    if (counters->cycles >= core->next_event)
        advance_devices(core);
    if (counters->cycles >= core->limit || core->reload) {
        core->interrupted = 1;
        core->unicorn->emu_stop(core->engine);
        return false;
    }
    if (take_interrupt(core)) {
        core_set_register(core, UC_ARM_REG_PC, core->pc);
        return false;
    }
    return true;
}

static void on_block(struct uc_struct *engine, uint64_t address, uint32_t size, void *context)
{
    struct core *core = context;
    struct block *block = &core->blocks[(address & (ITCM_SIZE - 1)) / 4];
    struct counters *counters = core->counters;

    (void)engine;
    core->pc = (uint32_t)address;
    if (counters->cycles >= core->next_event || core->owed || requested(core)) {
        if (!attend(core))
            return;
    }
    if (block->size != size)
        analyse(core, (uint32_t)address, size, block);
    counters->cycles += block->cycles;
    if (core->pc != core->block_end)
        counters->cycles += REFILL_CYCLES;
    counters->instructions += size / 4;
    core->block_start = core->pc;
    core->block_end = core->pc + size;
}

static void on_exception(struct uc_struct *engine, uint32_t number, void *context)
{
    struct core *core = context;

    core->exception = number;
    core->unicorn->emu_stop(engine);
}

static bool on_invalid(struct uc_struct *engine, void *context)
{
    struct core *core = context;

    (void)engine;
    core->exception = EXCEPTION_UNDEFINED;
    return false;
}

int run_attach(struct core *core)
{
    int error = core_hook(core, UC_HOOK_BLOCK, HOOK(on_block));

    if (!error)
        error = core_hook(core, UC_HOOK_INTR, HOOK(on_exception));
    if (!error)
        error = core_hook(core, UC_HOOK_INSN_INVALID, HOOK(on_invalid));
    return error;
}

/* Unicorn returns at a wait for interrupt, with the program counter behind it and no sign. */
static bool waits(const struct core *core)
{
    if (core->exception || core->interrupted || core->pc < 4 || core->pc > ITCM_SIZE)
        return false;
    return (core_word(core, core->pc - 4) & 0xffff0fff) == WAIT_FOR_INTERRUPT;
}

/* What made Unicorn return, from its error number and the hooks' notes. */
static void classify(struct core *core, int error)
{
    if (core->interrupted || core->fault.kind)
        return;
    if (core->exception == EXCEPTION_SUPERVISOR)
        core_enter(core, VECTOR_SUPERVISOR, MODE_SUPERVISOR, core->pc);
    else if (core->exception == EXCEPTION_UNDEFINED)
        core_fault(core, FAULT_UNDEFINED, core->pc, 4, 1);
    else if (core->missed_access)
        fault_missed(core);
    else if (waits(core))
        core->asleep = 1;
    else
        core_fault(core, FAULT_EMULATOR, core->exception ? core->exception : (uint32_t)error, 0, 1);
}

void run_forget_code(struct core *core)
{
    core->unicorn->ctl(core->engine, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    memset(core->blocks, 0, sizeof core->blocks);
    core->reload = 0;
    devices_schedule(core);
}

static void run_stretch(struct core *core)
{
    uint32_t begin = core->pc;
    int error;

    core->exception = core->missed = core->missed_access = core->interrupted = 0;
    error = core->unicorn->emu_start(core->engine, begin, NOWHERE, 0, 0);
    if (!core->interrupted)
        core->pc = core_register(core, UC_ARM_REG_PC);
    classify(core, error);
}

/* Sleep until a device asks for an interrupt, masked or not. False if none will before the limit.
 */
static bool wake(struct core *core)
{
    while (!requested(core)) {
        uint64_t until = next_of_devices(core);
        if (until == NEVER)
            return false;
        if (until > core->limit)
            until = core->limit;
        if (until > core->counters->cycles) {
            core->counters->sleep_cycles += until - core->counters->cycles;
            core->counters->cycles = until;
        }
        if (until == core->limit)
            return false;
        advance_devices(core);
    }
    core->asleep = 0;
    return true;
}

static void set_asleep(struct core *core)
{
    uint32_t bit = 1u << core->physical;

    if (core->asleep)
        __atomic_fetch_or(&core->chip->asleep, bit, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&core->chip->asleep, ~bit, __ATOMIC_RELAXED);
}

static enum stop run_to_limit(struct core *core)
{
    for (;;) {
        if (core->asleep && !wake(core))
            return core->counters->cycles >= core->limit ? STOP_CYCLES : STOP_SLEEPING;
        if (core->counters->cycles >= core->limit)
            return STOP_CYCLES;
        if (core->reload)
            run_forget_code(core);
        take_interrupt(core);
        run_stretch(core);
        if (core->fault.kind)
            return STOP_FAULT;
    }
}

static void set_limit(struct core *core, uint64_t cycles)
{
    core->limit = cycles < NEVER - core->counters->cycles ? core->counters->cycles + cycles : NEVER;
    devices_schedule(core);
}

/* The cycle at which a sleeping core goes on by itself: NEVER if only the host can wake it, the
 * present one if it is awake. */
uint64_t core_wakes_at(const struct core *core)
{
    return core->asleep && !requested(core) ? next_of_devices(core) : core->counters->cycles;
}

/* Lets a sleeping core's time pass, to the cycle at which it goes on by itself at most. */
void core_sleep_until(struct core *core, uint64_t cycle)
{
    uint64_t next = next_of_devices(core);

    if (cycle > next)
        cycle = next;
    if (!core->asleep || cycle <= core->counters->cycles)
        return;
    core->counters->sleep_cycles += cycle - core->counters->cycles;
    core->counters->cycles = cycle;
}

/* Lets an undefined instruction happen where the core is, when it runs next. */
void core_trap(struct core *core)
{
    core->trapped = 1;
}

/* Runs at most `cycles`, until the core sleeps with nothing under way that wakes it, or a fault.
 * After a fault the image's handler runs on for a while and the core stays stopped.
 */
int core_run(struct core *core, uint64_t cycles)
{
    enum stop stop;

    if (core->fault.kind)
        return STOP_FAULT;
    set_limit(core, cycles);
    if (core->trapped) {
        core->asleep = 0;
        core_fault(core, FAULT_UNDEFINED, core->pc, 4, 1);
    }
    stop = core->trapped ? STOP_FAULT : run_to_limit(core);
    if (stop == STOP_FAULT) {
        struct fault fault = core->fault;
        fault_enter_handler(core);
        core->fault.kind = FAULT_NONE;
        set_limit(core, FAULT_HANDLER_CYCLES);
        run_to_limit(core);
        core->fault = fault;
    }
    set_asleep(core);
    return stop;
}
