/* The DMA controller: one active and one waiting transfer (datasheet, section 7). Data appear at
 * their destination when the transfer ends, so a kernel that does not wait reads what was there.
 */
#include "core.h"

#include <string.h>

enum { ADRS = 0x04, ADRT = 0x08, DESC = 0x0c, CTRL = 0x10, STAT = 0x14, GCTL = 0x18 };
enum { TMTV = 0x24, SCTL = 0x28, AD2S = 0x104, AD2T = 0x108, DES2 = 0x10c };
enum { STAT_BUSY = 1, STAT_FULL = 4, STAT_DONE = 1 << 10, STAT_TWO_DONE = 1 << 11 };
enum { CTRL_UNCOMMIT = 1, CTRL_ABORT = 2, CTRL_ACKNOWLEDGE = 8, CTRL_CLEAR_TIMEOUT = 16 };
enum { STAT_ABORTED = 1 << 16, GCTL_DONE = 1 << 10, WRITES = 1 << 19 };

static uint32_t length(uint32_t description)
{
    return description & 0x1fffc;
}

static void update_line(struct core *core)
{
    uint32_t bit = 1u << SOURCE_DMA_DONE;

    core->lines &= ~bit;
    if (core->dma.done && core->dma.global_control & GCTL_DONE)
        core->lines |= bit;
}

static void start(struct core *core)
{
    struct dma *dma = &core->dma;
    struct dma_transfer *active = &dma->queue[0];

    active->done_at = core->counters->cycles;
    if (dma->bytes_per_cycle > 0)
        active->done_at += timing_table[T_DMA_START].cycles +
                           (uint64_t)(length(active->description) / dma->bytes_per_cycle);
}

/* A transfer's addresses lie in the bus's memory and in a TCM, whole. */
static bool possible(struct core *core, const struct dma_transfer *t)
{
    uint32_t bytes = length(t->description);

    if ((t->system | t->tcm) % 4 || t->system < 0x60000000 || t->tcm >= 0x60000000)
        return false;
    return core_pointer(core, t->system, bytes) && core_pointer(core, t->tcm, bytes);
}

static void commit(struct core *core, uint32_t description)
{
    struct dma *dma = &core->dma;
    struct dma_transfer t = {dma->system, dma->tcm, description, 0};

    dma->description = description;
    if (description & 3 || length(description) == 0) {
        core_fault(core, FAULT_DMA, 0x40000000 + DESC, length(description), 0);
    } else if (!possible(core, &t)) {
        uint32_t bytes = length(description);
        bool tcm =
            core_pointer(core, t.system, bytes) && t.system >= 0x60000000 && t.system % 4 == 0;
        core_fault(core, FAULT_DMA, tcm ? t.tcm : t.system, bytes, 0);
    } else if (dma->queued == 2) {
        core_fault(core, FAULT_DMA, 0x40000000 + DESC, length(description), 0);
    } else {
        dma->queue[dma->queued++] = t;
        if (dma->queued == 1)
            start(core);
        devices_schedule(core);
    }
}

static void drop_active(struct core *core)
{
    struct dma *dma = &core->dma;

    dma->queue[0] = dma->queue[1];
    if (--dma->queued)
        start(core);
}

uint64_t dma_next(const struct core *core)
{
    /* with two finished transfers not acknowledged the controller stands still */
    return core->dma.queued && core->dma.done < 2 ? core->dma.queue[0].done_at : NEVER;
}

/* Bytes for a TCM; code among them has to be translated anew. */
static void receive(struct core *core, uint32_t address, void *tcm, const void *system,
                    uint32_t bytes)
{
    memcpy(tcm, system, bytes);
    if (address < ITCM_SIZE)
        core->reload = 1;
}

void dma_advance(struct core *core)
{
    struct dma *dma = &core->dma;

    while (dma_next(core) <= core->counters->cycles) {
        const struct dma_transfer *t = &dma->queue[0];
        uint32_t bytes = length(t->description);
        void *system = core_pointer(core, t->system, bytes);
        void *tcm = core_pointer(core, t->tcm, bytes);

        if (t->description & WRITES)
            memcpy(system, tcm, bytes);
        else
            receive(core, t->tcm, tcm, system, bytes);
        core->counters->dma_bytes += bytes;
        core->counters->dma_transfers++;
        dma->done++;
        drop_active(core);
    }
    update_line(core);
}

static uint32_t status(struct core *core)
{
    const struct dma *dma = &core->dma;

    return core->physical << 24 | dma->errors | (dma->queued ? STAT_BUSY : 0) |
           (dma->queued == 2 ? STAT_FULL : 0) | (dma->done > 0 ? STAT_DONE : 0) |
           (dma->done > 1 ? STAT_TWO_DONE : 0);
}

uint32_t dma_read(struct core *core, uint32_t offset)
{
    const struct dma *dma = &core->dma;

    dma_advance(core);
    switch (offset) {
    case ADRS:
        return dma->system;
    case ADRT:
        return dma->tcm;
    case DESC:
        return dma->description;
    case STAT:
        return status(core);
    case GCTL:
        return dma->global_control;
    case TMTV:
        return dma->timeout;
    case SCTL:
        return dma->statistics;
    case AD2S:
        return dma->queued ? dma->queue[0].system : 0;
    case AD2T:
        return dma->queued ? dma->queue[0].tcm : 0;
    case DES2:
        return dma->queued ? dma->queue[0].description : 0;
    default:
        return 0;
    }
}

static void control(struct core *core, uint32_t value)
{
    struct dma *dma = &core->dma;

    if (value & CTRL_UNCOMMIT && dma->queued == 2)
        dma->queued = 1;
    if (value & CTRL_ABORT && dma->queued) {
        dma->errors |= STAT_ABORTED;
        drop_active(core);
    }
    if (value & CTRL_ACKNOWLEDGE) {
        dma->errors = 0;
        if (dma->done)
            dma->done--;
    }
    if (value & CTRL_CLEAR_TIMEOUT)
        dma->errors = 0;
}

void dma_write(struct core *core, uint32_t offset, uint32_t value)
{
    struct dma *dma = &core->dma;

    dma_advance(core);
    switch (offset) {
    case ADRS:
    case ADRT:
        if (dma->queued == 2)
            core_fault(core, FAULT_DMA, 0x40000000 + offset, 4, 0);
        *(offset == ADRS ? &dma->system : &dma->tcm) = value;
        break;
    case DESC:
        commit(core, value);
        break;
    case CTRL:
        control(core, value);
        break;
    case GCTL:
        dma->global_control = value;
        break;
    case TMTV:
        dma->timeout = value;
        break;
    case SCTL:
        dma->statistics = value;
        break;
    default:
        break;
    }
    update_line(core);
    devices_schedule(core);
}
