/* Runs a core: stretches of Unicorn between the points where an interrupt, the end of a run, a
 * fault or sleep needs the host. Cycles are counted by basic block: its cost is worked out when it
 * is first met and added each time it runs.
 */
#define _DEFAULT_SOURCE

#include "core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MODE_FIQ = 0x11, MODE_IRQ = 0x12, MODE_SUPERVISOR = 0x13, MODE_ABORT = 0x17 };
enum { MODE_UNDEFINED = 0x1b, MODE_MASK = 0x1f, CPSR_THUMB = 0x20, NO_FIQ = 0x40, NO_IRQ = 0x80 };
enum { EXCEPTION_UNDEFINED = 1, EXCEPTION_SUPERVISOR = 2, EXCEPTION_PREFETCH = 3 };
enum { EXCEPTION_DATA = 4 };
#define WAIT_FOR_INTERRUPT 0xee070f90u /* MCR p15, 0, rN, c7, c0, 4: without its register */
/* No instruction lies there; Unicorn looks the page up, so it has to exist. */
enum { NOWHERE = ITCM_SIZE - 2 };
enum { FAULT_HANDLER_CYCLES = 100000 };

uint32_t core_register(struct core *core, int id)
{
    uint32_t value = 0;

    core->unicorn->reg_read(core->engine, id, &value);
    return value;
}

static void set_register(struct core *core, int id, uint32_t value)
{
    core->unicorn->reg_write(core->engine, id, &value);
}

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
        f->pc = exact ? core_register(core, UC_ARM_REG_PC) : core->block_start;
    f->exact = f->exact || core->checking;
    f->registers[15] = f->pc;
}

void devices_schedule(struct core *core)
{
    uint64_t next = core->limit, dma = dma_next(core), timer = timer_next(core);

    if (dma < next)
        next = dma;
    core->next_event = timer < next ? timer : next;
}

static void advance_devices(struct core *core)
{
    dma_advance(core);
    timer_advance(core);
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
        uint32_t word;
        memcpy(&word, core->itcm + at, 4);
        timing_decode(word, &i);
        timing_issue(&s, &i);
    }
    block->end = address + size;
    block->cycles = (uint32_t)s.time;
    block->instructions = size / 4;
    if (core_register(core, UC_ARM_REG_CPSR) & CPSR_THUMB)
        core_fault(core, FAULT_THUMB, address, 2, 1);
}

static void on_block(struct uc_struct *engine, uint64_t address, uint32_t size, void *context)
{
    struct core *core = context;
    struct block *block = &core->blocks[(address & (ITCM_SIZE - 1)) / 4];
    struct counters *counters = &core->counters;

    core->pc = (uint32_t)address;
    if (counters->cycles >= core->next_event)
        advance_devices(core);
    if (counters->cycles >= core->limit || (requested(core) && due_vector(core))) {
        core->interrupted = 1;
        core->unicorn->emu_stop(engine);
        return;
    }
    if (block->end != address + size)
        analyse(core, (uint32_t)address, size, block);
    counters->cycles += block->cycles;
    if ((uint32_t)address != core->block_end)
        counters->cycles += REFILL_CYCLES;
    counters->instructions += block->instructions;
    counters->blocks++;
    core->block_start = (uint32_t)address;
    core->block_end = block->end;
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

/* Checking mode: every instruction through the scoreboard. */
static void on_instruction(struct uc_struct *engine, uint64_t address, uint32_t size, void *context)
{
    struct core *core = context;
    struct instruction i;
    uint32_t word;

    (void)engine;
    memcpy(&word, core->itcm + (address & (ITCM_SIZE - 4)), 4);
    timing_decode(word, &i);
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
    uint32_t word, wanted = (uint32_t)size;

    (void)engine, (void)access, (void)value;
    memcpy(&word, core->itcm + (core->now_pc & (ITCM_SIZE - 4)), 4);
    timing_decode(word, &i);
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

static int add_hook(struct core *core, int kind, void *function)
{
    size_t hook;

    return core->unicorn->hook_add(core->engine, &hook, kind, function, core, 1, 0);
}

#define HOOK(function) ((void *)(uintptr_t)(function))

static int attach(struct core *core)
{
    int error = core->unicorn->open(UC_ARCH_ARM, UC_MODE_ARM946, &core->engine);

    if (!error)
        error = memory_attach(core);
    if (!error)
        error = add_hook(core, UC_HOOK_BLOCK, HOOK(on_block));
    if (!error)
        error = add_hook(core, UC_HOOK_INTR, HOOK(on_exception));
    if (!error)
        error = add_hook(core, UC_HOOK_INSN_INVALID, HOOK(on_invalid));
    if (!error && core->checking)
        error = add_hook(core, UC_HOOK_CODE, HOOK(on_instruction));
    if (!error && core->checking)
        error = add_hook(core, UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, HOOK(on_access));
    return error;
}

void core_close(struct core *core)
{
    if (core->engine)
        core->unicorn->close(core->engine);
    if (core->itcm)
        munmap(core->itcm, ITCM_SIZE);
    if (core->dtcm)
        munmap(core->dtcm, DTCM_SIZE);
    comms_close(core);
    free(core);
}

static uint8_t *new_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

/* Makes a core of the chip. NULL with *error set to Unicorn's number, or to -1 without memory. */
struct core *core_open(const struct unicorn *unicorn, struct chip *chip, uint8_t *sdram,
                       uint64_t sdram_bytes, uint32_t physical, int checking,
                       double bytes_per_cycle, int *error)
{
    struct core *core = calloc(1, sizeof *core);

    *error = -1;
    if (core == NULL)
        return NULL;
    core->unicorn = unicorn;
    core->chip = chip;
    core->sdram = sdram;
    core->sdram_bytes = sdram_bytes;
    core->physical = physical;
    core->checking = (uint32_t)checking;
    core->dma.bytes_per_cycle = bytes_per_cycle;
    core->itcm = new_memory(ITCM_SIZE);
    core->dtcm = new_memory(DTCM_SIZE);
    if (core->itcm && core->dtcm)
        *error = attach(core);
    if (*error) {
        core_close(core);
        return NULL;
    }
    return core;
}

uint8_t *core_itcm(struct core *core)
{
    return core->itcm;
}

uint8_t *core_dtcm(struct core *core)
{
    return core->dtcm;
}

struct counters *core_counters(struct core *core)
{
    return &core->counters;
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

/* Starts over at address 0 with devices at rest; the TCMs hold what was put there. */
void core_reset(struct core *core, uint32_t argument)
{
    static const struct timer idle = {.control = 0x20, .expires = NEVER};

    core->unicorn->ctl(core->engine, UC_CTL_WRITE(UC_CTL_TB_FLUSH, 0));
    memset(core->blocks, 0, sizeof core->blocks);
    memset(&core->counters, 0, sizeof core->counters);
    memset(&core->fault, 0, sizeof core->fault);
    memset(&core->vic, 0, sizeof core->vic);
    memset(&core->scoreboard, 0, sizeof core->scoreboard);
    double bytes_per_cycle = core->dma.bytes_per_cycle;
    memset(&core->dma, 0, sizeof core->dma);
    core->dma.bytes_per_cycle = bytes_per_cycle;
    core->timers[0] = core->timers[1] = idle;
    core->lines = 1u << SOURCE_TX_EMPTY | 1u << SOURCE_TX_NOT_FULL;
    core->asleep = 0;
    core->pc = core->block_end = core->next_pc = 0;
    __atomic_fetch_and(&core->chip->interrupts, ~(1u << core->physical), __ATOMIC_SEQ_CST);
    set_register(core, UC_ARM_REG_CPSR, MODE_SUPERVISOR | NO_IRQ | NO_FIQ);
    set_register(core, UC_ARM_REG_R0, argument);
}

/* Enters the handler at a vector as the processor does. */
static void enter(struct core *core, uint32_t vector, uint32_t mode, uint32_t return_to)
{
    uint32_t cpsr = core_register(core, UC_ARM_REG_CPSR);
    uint32_t masks = NO_IRQ | (vector == VECTOR_FIQ ? NO_FIQ : 0);

    set_register(core, UC_ARM_REG_CPSR,
                 (cpsr & ~(uint32_t)(MODE_MASK | CPSR_THUMB)) | mode | masks);
    set_register(core, UC_ARM_REG_SPSR, cpsr);
    set_register(core, UC_ARM_REG_LR, return_to);
    core->pc = core->block_end = core->next_pc = vector;
    core->counters.cycles += timing_table[T_EXCEPTION].cycles;
    core->scoreboard.time += timing_table[T_EXCEPTION].cycles;
}

static void take_interrupt(struct core *core)
{
    uint32_t vector = due_vector(core);

    if (!vector)
        return;
    core->counters.interrupts++;
    enter(core, vector, vector == VECTOR_FIQ ? MODE_FIQ : MODE_IRQ, core->pc + 4);
}

/* The image's own handler gets the exception too, to leave its report for the host. */
static void enter_fault_handler(struct core *core)
{
    uint32_t pc = core->fault.pc;

    switch (core->fault.kind) {
    case FAULT_UNDEFINED:
        enter(core, VECTOR_UNDEFINED, MODE_UNDEFINED, pc + 4);
        break;
    case FAULT_FETCH:
        enter(core, VECTOR_PREFETCH, MODE_ABORT, pc + 4);
        break;
    default:
        enter(core, VECTOR_DATA, MODE_ABORT, pc + 8);
    }
}

/* Unicorn returns at a wait for interrupt, with the program counter behind it and no sign. */
static bool waits(const struct core *core)
{
    uint32_t word;

    if (core->exception || core->interrupted || core->pc < 4 || core->pc > ITCM_SIZE)
        return false;
    memcpy(&word, core->itcm + core->pc - 4, 4);
    return (word & 0xffff0fff) == WAIT_FOR_INTERRUPT;
}

/* What made Unicorn return, from its error number and the hooks' notes. */
static void classify(struct core *core, int error)
{
    uint32_t missed = core->missed;

    switch (core->exception) {
    case EXCEPTION_UNDEFINED:
        core_fault(core, FAULT_UNDEFINED, core->pc, 4, 1);
        return;
    case EXCEPTION_SUPERVISOR:
        enter(core, VECTOR_SUPERVISOR, MODE_SUPERVISOR, core->pc);
        return;
    case EXCEPTION_PREFETCH:
    case EXCEPTION_DATA:
    case 0:
        break;
    default:
        core_fault(core, FAULT_EMULATOR, core->exception, 0, 1);
        return;
    }
    if (core->interrupted)
        return;
    if (core->missed_access == UC_MEM_FETCH)
        core_fault(core, FAULT_FETCH, missed, 4, 1);
    else if (core->missed_access == UC_MEM_WRITE)
        core_fault(core, FAULT_STORE, missed, 0, 1);
    else if (core->missed_access == UC_MEM_READ)
        core_fault(core, FAULT_LOAD, missed, 0, 1);
    else
        core_fault(core, FAULT_EMULATOR, (uint32_t)error, 0, 1);
}

static void run_stretch(struct core *core)
{
    uint32_t begin = core->pc;
    int error;

    core->exception = core->missed = core->missed_access = core->interrupted = 0;
    error = core->unicorn->emu_start(core->engine, begin, NOWHERE, 0, 0);
    if (!core->interrupted)
        core->pc = core_register(core, UC_ARM_REG_PC);
    if (waits(core))
        core->asleep = 1;
    else
        classify(core, error);
}

/* Sleep until a device asks for an interrupt, masked or not. False if none will before the limit.
 */
static bool wake(struct core *core)
{
    while (!requested(core)) {
        uint64_t dma = dma_next(core), timer = timer_next(core);
        uint64_t until = dma < timer ? dma : timer;
        if (until == NEVER)
            return false;
        if (until > core->limit)
            until = core->limit;
        if (until > core->counters.cycles) {
            core->counters.sleep_cycles += until - core->counters.cycles;
            core->counters.cycles = until;
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
            return core->counters.cycles >= core->limit ? STOP_CYCLES : STOP_SLEEPING;
        if (core->counters.cycles >= core->limit)
            return STOP_CYCLES;
        take_interrupt(core);
        run_stretch(core);
        if (core->fault.kind)
            return STOP_FAULT;
    }
}

static void set_limit(struct core *core, uint64_t cycles)
{
    core->limit = cycles < NEVER - core->counters.cycles ? core->counters.cycles + cycles : NEVER;
    devices_schedule(core);
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
    stop = run_to_limit(core);
    if (stop == STOP_FAULT) {
        struct fault fault = core->fault;
        core->fault.kind = FAULT_NONE;
        core->fault = fault;
        enter_fault_handler(core);
        core->fault.kind = FAULT_NONE;
        set_limit(core, FAULT_HANDLER_CYCLES);
        run_to_limit(core);
        core->fault = fault;
    }
    set_asleep(core);
    return stop;
}
