/* The memory map, and how Unicorn is shown it.
 *
 * The TCMs are host memory that translated code reaches directly. Everything behind the bus goes
 * through a function, which counts the access and adds its cycles; kernels move data by DMA, so
 * this is rare. A virtual TLB gives out only pages that exist: an access to any other address stops
 * at its instruction. It marks only the ITCM executable: Unicorn keeps stores to executable pages
 * on a path twenty times slower.
 */
#include "core.h"

#include <string.h>

enum { ALIAS = 0x10000000, PAGE = 0x400 };
#define SDRAM_BASE 0x60000000u
#define SYSTEM_RAM_BASE 0xe5000000u

struct region {
    uint32_t base; /* as reached with buffered writes, where there are two ways */
    uint32_t size;
    uint32_t alias; /* the other way, or 0 */
};

enum area {
    AREA_COMMS,
    AREA_TIMERS,
    AREA_VIC,
    AREA_VIC_HIGH,
    AREA_DMA,
    AREA_SDRAM_CONTROLLER,
    AREA_ROUTER,
    AREA_SYSTEM,
    AREA_WATCHDOG,
    AREA_SYSTEM_RAM,
    AREA_SUBSTITUTE,
    AREAS,
};

static const struct region regions[AREAS] = {
    [AREA_COMMS] = {0x20000000, 0x1000, 0x10000000},
    [AREA_TIMERS] = {0x21000000, 0x1000, 0x11000000},
    [AREA_VIC] = {0x2f000000, 0x1000, 0x1f000000},
    [AREA_VIC_HIGH] = {0xfffff000, 0x1000, 0}, /* within reach of the vectors' loads */
    [AREA_DMA] = {0x40000000, 0x1000, 0x30000000},
    [AREA_SDRAM_CONTROLLER] = {0xe0000000, 0x1000, 0xf0000000},
    [AREA_ROUTER] = {0xe1000000, ROUTER_SIZE, 0xf1000000},
    [AREA_SYSTEM] = {0xe2000000, 0x1000, 0xf2000000},
    [AREA_WATCHDOG] = {0xe3000000, 0x1000, 0xf3000000},
    [AREA_SYSTEM_RAM] = {SYSTEM_RAM_BASE, SYSTEM_RAM_SIZE, 0xf5000000},
    [AREA_SUBSTITUTE] = {SUBSTITUTE_BASE, 0x1000, 0},
};

static bool inside(uint32_t address, uint32_t base, uint64_t size)
{
    return address >= base && address - base < size;
}

bool memory_has(const struct core *core, uint32_t address, int access)
{
    if (inside(address, ITCM_BASE, ITCM_SIZE))
        return true;
    if (access == UC_MEM_FETCH)
        return false;
    if (inside(address, DTCM_BASE, DTCM_SIZE) || inside(address, SDRAM_BASE, core->sdram_bytes) ||
        inside(address, SDRAM_BASE + ALIAS, core->sdram_bytes))
        return true;
    for (int i = 0; i < AREAS; i++) {
        const struct region *r = &regions[i];
        if (inside(address, r->base, r->size) || (r->alias && inside(address, r->alias, r->size)))
            return i != AREA_SUBSTITUTE || core->substitute_count > 0;
    }
    return false;
}

void *core_pointer(struct core *core, uint32_t address, uint64_t bytes)
{
    struct {
        uint8_t *host;
        uint32_t base;
        uint64_t size;
    } memories[] = {
        {core->itcm, ITCM_BASE, ITCM_SIZE},
        {core->dtcm, DTCM_BASE, DTCM_SIZE},
        {core->sdram, SDRAM_BASE, core->sdram_bytes},
        {core->sdram, SDRAM_BASE + ALIAS, core->sdram_bytes},
        {core->chip->system_ram, SYSTEM_RAM_BASE, SYSTEM_RAM_SIZE},
        {core->chip->system_ram, SYSTEM_RAM_BASE + ALIAS, SYSTEM_RAM_SIZE},
    };

    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        if (!inside(address, memories[i].base, memories[i].size))
            continue;
        uint32_t offset = address - memories[i].base;
        return bytes <= memories[i].size - offset ? memories[i].host + offset : NULL;
    }
    return NULL;
}

static uint64_t load(const uint8_t *memory, uint64_t offset, unsigned size)
{
    uint32_t value = 0;

    memcpy(&value, memory + offset, size);
    return value;
}

static uint64_t bus_load(struct core *core, const void *memory, uint64_t offset, unsigned size)
{
    core->counters->bus_reads++;
    core_spend(core, T_BUS_READ);
    return load(memory, offset, size);
}

static void bus_store(struct core *core, void *memory, uint64_t offset, unsigned size,
                      uint64_t value)
{
    core->counters->bus_writes++;
    core_spend(core, T_BUS_WRITE);
    memcpy((uint8_t *)memory + offset, &value, size);
}

/* A device takes whole words only. */
static bool takes(struct core *core, enum area area, uint64_t offset, unsigned size)
{
    if (size == 4 && offset % 4 == 0)
        return true;
    core_fault(core, area == AREA_DMA ? FAULT_DMA : FAULT_DEVICE,
               regions[area].base + (uint32_t)offset, size, 0);
    return false;
}

#define DEVICE(name, area, read_fn, write_fn)                                                      \
    static uint64_t name##_load(struct uc_struct *engine, uint64_t offset, unsigned size,          \
                                void *context)                                                     \
    {                                                                                              \
        struct core *core = context;                                                               \
        (void)engine;                                                                              \
        core_spend(core, T_DEVICE_READ);                                                           \
        return takes(core, area, offset, size) ? read_fn(core, (uint32_t)offset) : 0;              \
    }                                                                                              \
    static void name##_store(struct uc_struct *engine, uint64_t offset, unsigned size,             \
                             uint64_t value, void *context)                                        \
    {                                                                                              \
        struct core *core = context;                                                               \
        (void)engine;                                                                              \
        core_spend(core, T_DEVICE_WRITE);                                                          \
        if (takes(core, area, offset, size))                                                       \
            write_fn(core, (uint32_t)offset, (uint32_t)value);                                     \
    }

DEVICE(comms, AREA_COMMS, comms_read, comms_write)
DEVICE(timers, AREA_TIMERS, timer_read, timer_write)
DEVICE(vic, AREA_VIC, vic_read, vic_write)
DEVICE(dma, AREA_DMA, dma_read, dma_write)
DEVICE(system, AREA_SYSTEM, system_read, system_write)
DEVICE(substitute, AREA_SUBSTITUTE, substitute_read, substitute_write)

#define STORAGE(name, memory)                                                                      \
    static uint64_t name##_load(struct uc_struct *engine, uint64_t offset, unsigned size,          \
                                void *context)                                                     \
    {                                                                                              \
        struct core *core = context;                                                               \
        (void)engine;                                                                              \
        return bus_load(core, memory, offset, size);                                               \
    }                                                                                              \
    static void name##_store(struct uc_struct *engine, uint64_t offset, unsigned size,             \
                             uint64_t value, void *context)                                        \
    {                                                                                              \
        struct core *core = context;                                                               \
        (void)engine;                                                                              \
        bus_store(core, memory, offset, size, value);                                              \
    }

STORAGE(sdram, core->sdram)
STORAGE(system_ram, core->chip->system_ram)
STORAGE(router_words, core->chip->router)
STORAGE(sdram_controller, core->chip->sdram_controller)
STORAGE(watchdog, core->chip->watchdog)

/* Reading which packet was dropped makes room for the next one. */
static uint64_t router_load(struct uc_struct *engine, uint64_t offset, unsigned size, void *context)
{
    enum { DUMP_STATUS = 0x28 };
    struct core *core = context;
    uint64_t value = router_words_load(engine, offset, size, context);

    if (offset == DUMP_STATUS)
        core->chip->router[DUMP_STATUS / 4] = 0;
    return value;
}

static int map(struct core *core, uint32_t base, uint64_t size, uc_mmio_read_fn *read,
               uc_mmio_write_fn *write)
{
    return core->unicorn->mmio_map(core->engine, base, size, read, core, write, core);
}

static bool fill_tlb(struct uc_struct *engine, uint64_t address, int access,
                     struct uc_tlb_entry *entry, void *context)
{
    struct core *core = context;
    bool code = inside((uint32_t)address, ITCM_BASE, ITCM_SIZE);

    (void)engine;
    if (!memory_has(core, (uint32_t)address, access)) {
        core->missed = (uint32_t)address;
        core->missed_access = (uint32_t)access;
        return false;
    }
    entry->paddr = address & ~(uint64_t)(PAGE - 1);
    entry->perms = UC_PROT_READ | UC_PROT_WRITE | (code ? UC_PROT_EXEC : 0);
    return true;
}

int memory_attach(struct core *core)
{
    static const struct {
        enum area area;
        uc_mmio_read_fn *read;
        uc_mmio_write_fn *write;
    } behaviours[] = {
        {AREA_COMMS, comms_load, comms_store},
        {AREA_TIMERS, timers_load, timers_store},
        {AREA_VIC, vic_load, vic_store},
        {AREA_VIC_HIGH, vic_load, vic_store},
        {AREA_DMA, dma_load, dma_store},
        {AREA_SDRAM_CONTROLLER, sdram_controller_load, sdram_controller_store},
        {AREA_ROUTER, router_load, router_words_store},
        {AREA_SYSTEM, system_load, system_store},
        {AREA_WATCHDOG, watchdog_load, watchdog_store},
        {AREA_SYSTEM_RAM, system_ram_load, system_ram_store},
        {AREA_SUBSTITUTE, substitute_load, substitute_store},
    };
    const struct unicorn *u = core->unicorn;
    size_t hook;
    int error = u->mem_map_ptr(core->engine, ITCM_BASE, ITCM_SIZE,
                               UC_PROT_READ | UC_PROT_WRITE | UC_PROT_EXEC, core->itcm);

    if (!error)
        error = u->mem_map_ptr(core->engine, DTCM_BASE, DTCM_SIZE, UC_PROT_READ | UC_PROT_WRITE,
                               core->dtcm);
    if (!error)
        error = map(core, SDRAM_BASE, core->sdram_bytes, sdram_load, sdram_store);
    if (!error)
        error = map(core, SDRAM_BASE + ALIAS, core->sdram_bytes, sdram_load, sdram_store);
    for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours && !error; i++) {
        const struct region *r = &regions[behaviours[i].area];
        error = map(core, r->base, r->size, behaviours[i].read, behaviours[i].write);
        if (r->alias && !error)
            error = map(core, r->alias, r->size, behaviours[i].read, behaviours[i].write);
    }
    if (!error)
        error = u->ctl(core->engine, UC_CTL_WRITE(UC_CTL_TLB_TYPE, 1), UC_TLB_VIRTUAL);
    if (!error)
        error = u->hook_add(core->engine, &hook, UC_HOOK_TLB_FILL, (void *)(uintptr_t)fill_tlb,
                            core, 1, 0);
    return error;
}
