/* The vectored interrupt controller (PL190). */
#include "core.h"

enum { IRQ_STATUS = 0x00, FIQ_STATUS = 0x04, RAW = 0x08, SELECT = 0x0c, ENABLE = 0x10 };
enum { DISABLE = 0x14, SOFT_SET = 0x18, SOFT_CLEAR = 0x1c, PROTECTION = 0x20 };
enum { VECTOR_ADDRESS = 0x30, DEFAULT_VECTOR = 0x34, VECTORS = 0x100, SLOTS = 0x200 };
enum { SLOT_COUNT = 16, SLOT_ENABLED = 0x20 };

static uint32_t raw(const struct core *core)
{
    uint32_t requests = __atomic_load_n(&core->chip->interrupts, __ATOMIC_RELAXED);
    uint32_t line = requests >> core->physical & 1 ? 1u << SOURCE_CPU : 0;

    return core->lines | line | core->vic.soft;
}

/* The slot whose source asks for an IRQ with the highest priority; 16 for the default vector, 17 if
 * none does.
 */
static int asking(const struct core *core)
{
    const struct vic *vic = &core->vic;
    uint32_t active = raw(core) & vic->enable & ~vic->select;

    if (!active)
        return SLOT_COUNT + 1;
    for (int i = 0; i < SLOT_COUNT; i++) {
        if (vic->slot[i] & SLOT_ENABLED && active >> (vic->slot[i] & 31) & 1)
            return i;
    }
    return SLOT_COUNT;
}

bool vic_irq(const struct core *core)
{
    uint32_t service = core->vic.in_service;
    int current = service ? __builtin_ctz(service) : SLOT_COUNT + 1;

    return asking(core) < current;
}

bool vic_fiq(const struct core *core)
{
    return raw(core) & core->vic.enable & core->vic.select;
}

static uint32_t take_vector(struct core *core)
{
    struct vic *vic = &core->vic;
    int slot = asking(core);

    if (slot > SLOT_COUNT)
        return vic->default_vector;
    vic->in_service |= 1u << slot;
    return slot == SLOT_COUNT ? vic->default_vector : vic->vector[slot];
}

uint32_t vic_read(struct core *core, uint32_t offset)
{
    const struct vic *vic = &core->vic;

    if (offset >= VECTORS && offset < VECTORS + 4 * SLOT_COUNT)
        return vic->vector[(offset - VECTORS) / 4];
    if (offset >= SLOTS && offset < SLOTS + 4 * SLOT_COUNT)
        return vic->slot[(offset - SLOTS) / 4];
    switch (offset) {
    case IRQ_STATUS:
        return raw(core) & vic->enable & ~vic->select;
    case FIQ_STATUS:
        return raw(core) & vic->enable & vic->select;
    case RAW:
        return raw(core);
    case SELECT:
        return vic->select;
    case ENABLE:
        return vic->enable;
    case SOFT_SET:
        return vic->soft;
    case PROTECTION:
        return vic->protection;
    case VECTOR_ADDRESS:
        return take_vector(core);
    case DEFAULT_VECTOR:
        return vic->default_vector;
    default:
        return 0;
    }
}

void vic_write(struct core *core, uint32_t offset, uint32_t value)
{
    struct vic *vic = &core->vic;

    if (offset >= VECTORS && offset < VECTORS + 4 * SLOT_COUNT)
        vic->vector[(offset - VECTORS) / 4] = value;
    if (offset >= SLOTS && offset < SLOTS + 4 * SLOT_COUNT)
        vic->slot[(offset - SLOTS) / 4] = value;
    switch (offset) {
    case SELECT:
        vic->select = value;
        break;
    case ENABLE:
        vic->enable |= value;
        break;
    case DISABLE:
        vic->enable &= ~value;
        break;
    case SOFT_SET:
        vic->soft |= value;
        break;
    case SOFT_CLEAR:
        vic->soft &= ~value;
        break;
    case PROTECTION:
        vic->protection = value;
        break;
    case VECTOR_ADDRESS: /* any write: the interrupt in service with the highest priority is done */
        vic->in_service &= vic->in_service - 1;
        break;
    case DEFAULT_VECTOR:
        vic->default_vector = value;
        break;
    default:
        break;
    }
}
