/* IOBUF: the layout of heap and buffers is SARK's (sark_alloc.c, sark_io.c), so that the system's
 * tools find the text, and free it with the application. */
#pragma GCC optimize("Os")

#include "iobuf.h"
#include "monitor.h"

#include <stddef.h>

struct block {
    struct block *next; /* in the order of addresses, free or not */
    struct block *free; /* the next free one; of a block in use: who owns it */
};

struct heap {
    struct block *free, *first, *last;
    uint32_t free_bytes;
};

struct iobuf {
    struct iobuf *next;
    uint32_t seconds, milliseconds;
    uint32_t used;
    char text[];
};

static struct iobuf *buffer;

/* The start of the first free block that is larger; it never uses up a block, which saves code. */
static void *allocate(struct heap *heap, uint32_t bytes)
{
    struct block **link = &heap->free, *block, *rest;

    bytes += sizeof *block;
    lock(LOCK_HEAP);
    for (; (block = *link) != NULL; link = &block->free) {
        rest = (struct block *)((uint32_t)block + bytes);
        if (rest + 1 >= block->next)
            continue;
        *rest = *block;
        *link = rest;
        heap->free_bytes -= bytes;
        block->next = rest;
        block->free = (struct block *)(0xffff0000u | (uint32_t)vcpu->app_id << 8);
        block++;
        break;
    }
    unlock(LOCK_HEAP);
    return block;
}

/* Where the next character goes, in a new buffer if need be; NULL if there is none. */
static struct iobuf *writable(void)
{
    struct heap *heap = (struct heap *)SYSTEM_VARIABLES[SV_SYSTEM_HEAP];
    const uint32_t size = SYSTEM_VARIABLES[SV_IOBUF_BYTES];
    struct iobuf *fresh;

    if (buffer != NULL && buffer->used < size)
        return buffer;
    if (heap == NULL || (fresh = allocate(heap, sizeof *fresh + size)) == NULL)
        return NULL;
    fresh->next = NULL;
    fresh->seconds = SYSTEM_VARIABLES[SV_SECONDS];
    fresh->milliseconds = 0;
    fresh->used = 0;
    if (buffer == NULL)
        vcpu->iobuf = (uint32_t)fresh;
    else
        buffer->next = fresh;
    return buffer = fresh;
}

static void put(char character)
{
    struct iobuf *to = writable();

    if (to != NULL)
        to->text[to->used++] = character;
}

void iobuf_text(const char *text)
{
    while (*text)
        put(*text++);
}

void iobuf_hexadecimal(uint32_t word)
{
    for (int i = 0; i < 8; i++, word <<= 4)
        put("0123456789abcdef"[word >> 28]);
}
