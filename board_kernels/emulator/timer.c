/* The two timers (SP804): down-counters on the core's clock. */
#include "core.h"

enum { LOAD = 0x00, VALUE = 0x04, CONTROL = 0x08, CLEAR = 0x0c, RAW = 0x10, MASKED = 0x14 };
enum { BACKGROUND_LOAD = 0x18, SPACING = 0x20 };
enum { ONE_SHOT = 1, WIDE = 2, INTERRUPTS = 0x20, PERIODIC = 0x40, ENABLED = 0x80 };

static uint32_t prescale_bits(const struct timer *t)
{
    static const uint8_t bits[4] = {0, 4, 8, 8};

    return bits[t->control >> 2 & 3];
}

static uint32_t width(const struct timer *t)
{
    return t->control & WIDE ? UINT32_MAX : UINT16_MAX;
}

/* From now, the counter holds `value`. It expires when it reaches zero. */
static void restart(struct core *core, struct timer *t, uint32_t value, uint64_t now)
{
    t->value = value & width(t);
    t->since = now;
    t->expires = NEVER;
    if (t->control & ENABLED)
        t->expires = now + ((uint64_t)t->value << prescale_bits(t));
    (void)core;
}

static uint32_t value_now(const struct core *core, const struct timer *t)
{
    if (!(t->control & ENABLED) || t->expires == NEVER)
        return t->value;
    return t->value - (uint32_t)((core->counters->cycles - t->since) >> prescale_bits(t));
}

static void update_lines(struct core *core)
{
    for (int i = 0; i < 2; i++) {
        const struct timer *t = &core->timers[i];
        uint32_t bit = 1u << (SOURCE_TIMER1 + i);

        core->lines &= ~bit;
        if (t->raised && t->control & INTERRUPTS)
            core->lines |= bit;
    }
}

uint64_t timer_next(const struct core *core)
{
    uint64_t first = core->timers[0].expires, second = core->timers[1].expires;

    return first < second ? first : second;
}

void timer_advance(struct core *core)
{
    for (int i = 0; i < 2; i++) {
        struct timer *t = &core->timers[i];

        while (t->expires <= core->counters->cycles) {
            uint64_t at = t->expires;
            t->raised = 1;
            if (t->control & ONE_SHOT) {
                t->value = 0;
                t->expires = NEVER;
            } else {
                /* a period of zero would expire without end: the counter needs a cycle at least */
                uint32_t from = t->control & PERIODIC ? t->load : width(t);
                restart(core, t, from ? from : 1, at);
            }
        }
    }
    update_lines(core);
}

uint32_t timer_read(struct core *core, uint32_t offset)
{
    struct timer *t = &core->timers[offset / SPACING & 1];

    timer_advance(core);
    switch (offset % SPACING) {
    case LOAD:
    case BACKGROUND_LOAD:
        return t->load;
    case VALUE:
        return value_now(core, t);
    case CONTROL:
        return t->control;
    case RAW:
        return t->raised;
    case MASKED:
        return t->raised && t->control & INTERRUPTS;
    default:
        return 0;
    }
}

void timer_write(struct core *core, uint32_t offset, uint32_t value)
{
    struct timer *t = &core->timers[offset / SPACING & 1];
    uint32_t held;

    timer_advance(core);
    switch (offset % SPACING) {
    case LOAD:
        t->load = value;
        restart(core, t, value, core->counters->cycles);
        break;
    case BACKGROUND_LOAD:
        t->load = value;
        break;
    case CONTROL:
        held = value_now(core, t);
        t->control = value;
        restart(core, t, held, core->counters->cycles);
        break;
    case CLEAR:
        t->raised = 0;
        break;
    default:
        break;
    }
    update_lines(core);
    devices_schedule(core);
}
