/* The communications controller: sends packets through the host's function, receives what the host
 * hands over. The controller holds one received packet; others wait in the network for it to be
 * read (the datasheet gives no depth).
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

static void next_packet(struct core *core)
{
    struct comms *c = &core->comms;

    if (!c->full && c->count) {
        c->received = c->waiting[c->first];
        c->first = (c->first + 1) % c->capacity;
        c->count--;
        c->full = 1;
        core->counters->packets_received++;
    }
    update_lines(core);
}

int core_receive(struct core *core, const struct packet *packet)
{
    struct comms *c = &core->comms;

    if (c->count == c->capacity) {
        uint32_t capacity = c->capacity ? 2 * c->capacity : 16;
        struct packet *grown = malloc(capacity * sizeof *grown);
        if (grown == NULL)
            return -1;
        for (uint32_t i = 0; i < c->count; i++)
            grown[i] = c->waiting[(c->first + i) % c->capacity];
        free(c->waiting);
        c->waiting = grown;
        c->first = 0;
        c->capacity = capacity;
    }
    c->waiting[(c->first + c->count++) % c->capacity] = *packet;
    next_packet(core);
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
        next_packet(core);
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
