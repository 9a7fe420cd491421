/* The messages of one channel that a subscription has still to read: a ring that grows.
 * Called by workers under the lock of store/channel.c, except where the header says
 * otherwise; owns the messages in the ring.
 *
 * When the first message of the ring goes, the readers that stand at it stand at the next
 * one. Their own position is put right when they look. */
#include "store/backlog.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 8

struct message *backlog_message(const char *text, size_t len)
{
    if (len > SIZE_MAX - sizeof(struct message))
        return NULL;
    struct message *m = malloc(sizeof *m + len);
    if (m == NULL)
        return NULL;
    memset(m, 0, sizeof *m);
    list_init(&m->by_age);
    atomic_init(&m->owners, 1);
    m->len = len;
    memcpy(m->text, text, len);
    return m;
}

void backlog_release(struct message *m)
{
    if (m != NULL && atomic_fetch_sub_explicit(&m->owners, 1, memory_order_acq_rel) == 1)
        free(m);
}

/* -- The ring -- */

static struct message **place(const struct backlog *b, uint64_t number)
{
    return &b->ring[number & (b->size - 1)];
}

static bool grow(struct backlog *b)
{
    size_t size = b->size == 0 ? FIRST_SIZE : b->size * 2;
    struct message **ring = malloc(size * sizeof *ring);
    if (ring == NULL)
        return false;
    for (uint64_t n = b->head; n < b->head + b->count; n++)
        ring[n & (size - 1)] = *place(b, n);
    free(b->ring);
    b->ring = ring;
    b->size = size;
    return true;
}

/* How many readers stand at that number. */
static unsigned *readers_at(struct backlog *b, uint64_t number)
{
    return number == b->head + b->count ? &b->at_end : &(*place(b, number))->readers;
}

void backlog_drop(struct backlog *b, struct link *dropped)
{
    struct message *m = *place(b, b->head);
    unsigned readers = m->readers;
    b->head++;
    b->count--;
    *readers_at(b, b->head) += readers;
    list_remove(&m->by_age);
    list_append(dropped, &m->by_age);
    if (b->count == 0 && b->size > FIRST_SIZE)
        backlog_free(b);
}

unsigned backlog_unread(const struct backlog *b)
{
    return (*place(b, b->head))->readers;
}

static void drop_unread(struct backlog *b, struct link *dropped)
{
    while (b->count > 0 && (*place(b, b->head))->readers == 0)
        backlog_drop(b, dropped);
}

bool backlog_append(struct backlog *b, struct message *m)
{
    if (b->count == b->size && !grow(b))
        return false;
    *place(b, b->head + b->count) = m;
    b->count++;
    m->backlog = b;
    m->readers = b->at_end;
    m->start = b->end;
    b->at_end = 0;
    b->end += m->len + BACKLOG_OVERHEAD;
    return true;
}

uint64_t backlog_size(const struct backlog *b)
{
    return b->count == 0 ? 0 : b->end - (*place(b, b->head))->start;
}

void backlog_free(struct backlog *b)
{
    free(b->ring);
    b->ring = NULL;
    b->size = 0;
}

/* -- Readers -- */

static uint64_t position(const struct backlog *b, const struct backlog_reader *r)
{
    return r->at < b->head ? b->head : r->at;
}

void backlog_join(struct backlog *b, struct backlog_reader *r)
{
    r->at = b->head + b->count;
    b->at_end++;
}

void backlog_leave(struct backlog *b, struct backlog_reader *r, struct link *dropped)
{
    --*readers_at(b, position(b, r));
    drop_unread(b, dropped);
}

struct message *backlog_look(struct backlog *b, struct backlog_reader *r,
                             uint64_t *missed)
{
    uint64_t at = position(b, r);
    *missed += at - r->at;
    r->at = at;
    return at == b->head + b->count ? NULL : *place(b, at);
}

void backlog_pass(struct backlog *b, struct backlog_reader *r, struct link *dropped)
{
    --*readers_at(b, r->at);
    r->at++;
    ++*readers_at(b, r->at);
    drop_unread(b, dropped);
}

uint64_t backlog_waiting(const struct backlog *b, const struct backlog_reader *r)
{
    uint64_t at = position(b, r);
    return at == b->head + b->count ? 0 : b->end - (*place(b, at))->start;
}
