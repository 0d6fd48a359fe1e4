/* The communications controller: sends packets through the host's function, receives what the host
 * hands over. The controller holds one received packet; others wait in the network for it to be
 * read (the datasheet gives no depth), until the router's patience ends. The router's output tries
 * one packet after the other.
 */
#include "core.h"

#include <stdlib.h>

enum { TCR = 0x00, TDR = 0x04, TKR = 0x08, RSR = 0x0c, RDR = 0x10, RKR = 0x14, SAR = 0x18 };
#define TX_EMPTY (1u << 31)
#define TX_NOT_FULL (1u << 28)
#define RX_RECEIVED (1u << 31)
#define RX_GOOD (1u << 28)
enum { CONTROL_PAYLOAD = 2, AS_ROUTED = 7 << 24 };

static void update_lines(struct core *core)
{
    const struct comms *c = &core->comms;

    core->lines &= ~(0xfu << SOURCE_RX_TYPE | 1u << SOURCE_RX_READY);
    if (c->full) {
        core->lines |= 1u << SOURCE_RX_READY;
        core->lines |= 1u << (SOURCE_RX_TYPE + (c->received.control >> 6 & 3));
    }
    core->lines |= 1u << SOURCE_TX_EMPTY | 1u << SOURCE_TX_NOT_FULL;
}

/* The cycle at which the first waiting packet is taken or dropped, if nothing else happens. */
uint64_t comms_next(const struct core *core)
{
    const struct comms *c = &core->comms;
    const struct arrival *first;
    uint64_t from;

    if (!c->count)
        return NEVER;
    first = &c->waiting[c->first];
    from = first->at > c->free_since ? first->at : c->free_since;
    if (!c->full)
        return from;
    return first->patience < NEVER - from ? from + first->patience : NEVER;
}

void comms_advance(struct core *core)
{
    struct comms *c = &core->comms;
    uint64_t at;

    while ((at = comms_next(core)) <= core->counters->cycles && at != NEVER) {
        const struct packet *packet = &c->waiting[c->first].packet;
        if (c->full) {
            c->dropped = *packet;
            c->free_since = at;
            core->counters->packets_dropped++;
        } else {
            c->received = *packet;
            c->full = 1;
            core->counters->packets_received++;
        }
        c->first = (c->first + 1) % c->capacity;
        c->count--;
    }
    update_lines(core);
}

const struct packet *core_dropped(const struct core *core)
{
    return &core->comms.dropped;
}

/* Hands the core a packet that reaches the router's output at cycle `at`, no earlier than those
 * before it. -1 without memory. */
int core_receive(struct core *core, const struct packet *packet, uint64_t at, uint64_t patience)
{
    struct comms *c = &core->comms;

    if (c->count == c->capacity) {
        uint32_t capacity = c->capacity ? 2 * c->capacity : 16;
        struct arrival *grown = malloc(capacity * sizeof *grown);
        if (grown == NULL)
            return -1;
        for (uint32_t i = 0; i < c->count; i++)
            grown[i] = c->waiting[(c->first + i) % c->capacity];
        free(c->waiting);
        c->waiting = grown;
        c->first = 0;
        c->capacity = capacity;
    }
    c->waiting[(c->first + c->count++) % c->capacity] = (struct arrival){*packet, at, patience};
    comms_advance(core);
    return 0;
}

void comms_reset(struct core *core)
{
    struct comms *c = &core->comms;

    free(c->waiting);
    *c = (struct comms){.source = AS_ROUTED, .sent = c->sent, .context = c->context};
    update_lines(core);
}

void comms_close(struct core *core)
{
    free(core->comms.waiting);
}

static uint32_t receive_status(const struct comms *c)
{
    const struct packet *p = &c->received;

    if (!c->full)
        return 0;
    return RX_RECEIVED | RX_GOOD | (p->route & 7) << 24 | (p->control & 0xff) << 16 |
           1u << (p->control >> 6 & 3);
}

uint32_t comms_read(struct core *core, uint32_t offset)
{
    struct comms *c = &core->comms;
    uint32_t key;

    switch (offset) {
    case TCR:
        return TX_EMPTY | TX_NOT_FULL | (c->control & 0x00ff0000);
    case RSR:
        return receive_status(c);
    case RDR:
        return c->received.payload;
    case RKR:
        key = c->received.key;
        c->full = 0;
        c->free_since = core->counters->cycles;
        comms_advance(core);
        devices_schedule(core);
        return key;
    case SAR:
        return c->source;
    default:
        return 0;
    }
}

void comms_write(struct core *core, uint32_t offset, uint32_t value)
{
    struct comms *c = &core->comms;

    switch (offset) {
    case TCR:
        c->control = value;
        break;
    case TDR:
        c->data = value;
        c->control |= CONTROL_PAYLOAD << 16;
        break;
    case TKR: {
        struct packet p = {c->control >> 16 & 0xff, value, c->data, c->source >> 24 & 7};
        if (!(p.control & CONTROL_PAYLOAD))
            p.payload = 0;
        core->counters->packets_sent++;
        if (c->sent)
            c->sent(c->context, &p);
        break;
    }
    case SAR:
        c->source = value;
        break;
    default:
        break;
    }
    update_lines(core);
}
