/* What a peer has not taken yet of a response. See fastcgi/rest.h.
 *
 * Runs in the worker that owns the connection, and in the heartbeat when that owns it. A
 * rest belongs to the owner of its connection. How much all of them hold is one atomic
 * number of the set; no locks.
 *
 * The memory of a large response moves here as it is. It shrinks as the peer takes the
 * bytes: each time half of it is out, the other half moves to its beginning. So the
 * response is copied no more than once in all. */
#include "fastcgi/rest.h"

#include "fastcgi/cut.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHRINK_BYTES = 4 << 20, /* memory that is worth a move */
    TRIM_BYTES = 1 << 20,   /* unused memory that is worth giving back */
    ROUNDS = 32,            /* system calls before others have their turn */
};

/* -- MaxPendingOutput -- */

static bool may_hold(struct connections *set, size_t bytes)
{
    size_t held = atomic_load(&set->pending_output);
    do {
        size_t most = atomic_load(&set->max_pending_output);
        if (most > 0 && (held > most || bytes > most - held))
            return false;
    } while (!atomic_compare_exchange_weak(&set->pending_output, &held, held + bytes));
    return true;
}

static void hold_less(struct connections *set, struct rest *rest, size_t bytes)
{
    rest->counted -= bytes;
    atomic_fetch_sub(&set->pending_output, bytes);
}

/* -- Keeping -- */

/* The bytes of whole records that are out are not needed any more. What is left of both
 * parts, as parts of the same records. */
static struct frames what_is_left(const struct frames *f, struct iovec parts[2])
{
    size_t whole = f->sent / FRAMES_FULL, most = f->content / RECORD_MAX_STDOUT;
    whole = whole < most ? whole : most;
    size_t skip = whole * RECORD_MAX_STDOUT;
    for (int i = 0; i < 2; i++) {
        size_t n = skip < f->parts[i].iov_len ? skip : f->parts[i].iov_len;
        parts[i] =
            (struct iovec){(uint8_t *)f->parts[i].iov_base + n, f->parts[i].iov_len - n};
        skip -= n;
    }
    struct frames left = frames_of(parts, 2, f->id, f->closes);
    left.sent = f->sent - whole * FRAMES_FULL;
    return left;
}

/* A copy of a small part costs less than the memory around it. */
static bool is_worth_taking(const struct buffer *body, size_t left)
{
    return body->memory == NULL && left > 0 && left >= body->len / 4;
}

/* Bytes that its memory will have. */
static size_t size_of(const struct buffer *body)
{
    return body->cap - body->len >= TRIM_BYTES ? body->len : body->cap;
}

/* NULL: it is more than may be held, or there is no memory. */
static struct rest *create(struct connections *set, size_t copied, size_t taken)
{
    size_t counted = sizeof(struct rest) + copied + taken;
    if (!may_hold(set, counted))
        return NULL;
    struct rest *rest = malloc(sizeof *rest + copied);
    if (rest == NULL) {
        atomic_fetch_sub(&set->pending_output, counted);
        return NULL;
    }
    rest->block = NULL;
    rest->block_size = 0;
    rest->counted = counted;
    rest->known = log_copy_request(&rest->request);
    return rest;
}

static uint8_t *copy_part(struct rest *rest, int i, struct iovec part, uint8_t *to)
{
    if (part.iov_len > 0)
        memcpy(to, part.iov_base, part.iov_len);
    rest->parts[i] = (struct iovec){to, part.iov_len};
    return to + part.iov_len;
}

/* The buffer loses its memory. If that has much room beyond its content, that is given
 * back. */
static void take(struct rest *rest, struct iovec part, struct buffer *body)
{
    size_t skipped = body->len - part.iov_len, size = size_of(body);
    uint8_t *block = (uint8_t *)body->data;
    if (size < body->cap)
        block = realloc(body->data, size);
    rest->block = block != NULL ? block : (uint8_t *)body->data;
    rest->block_size = size;
    rest->parts[1] = (struct iovec){rest->block + skipped, part.iov_len};
    *body = (struct buffer){0};
}

/* Moves what is left to the beginning of the memory, and gives the rest of it back. */
static void shrink(struct connections *set, struct rest *rest)
{
    size_t left = rest->parts[1].iov_len, size = left > 0 ? left : 1;
    if (rest->block == NULL || rest->block_size < SHRINK_BYTES ||
        left > rest->block_size / 2)
        return;
    memmove(rest->block, rest->parts[1].iov_base, left);
    uint8_t *block = realloc(rest->block, size);
    if (block != NULL)
        rest->block = block;
    rest->parts[1].iov_base = rest->block;
    hold_less(set, rest, rest->block_size - size);
    rest->block_size = size;
}

bool rest_keep(struct connection *c, const struct frames *f, struct buffer *body)
{
    struct connections *set = c->reader->set;
    struct iovec parts[2];
    struct frames left = what_is_left(f, parts);
    bool takes = is_worth_taking(body, parts[1].iov_len);
    struct rest *rest = create(set, parts[0].iov_len + (takes ? 0 : parts[1].iov_len),
                               takes ? size_of(body) : 0);
    if (rest == NULL)
        return false;
    uint8_t *end = copy_part(rest, 0, parts[0], rest->copy);
    if (takes)
        take(rest, parts[1], body);
    else
        copy_part(rest, 1, parts[1], end);
    rest->frames = left;
    rest->frames.parts = rest->parts;
    shrink(set, rest);
    c->rest = rest;
    return true;
}

/* -- Sending -- */

static void forget_sent(struct connections *set, struct rest *rest)
{
    struct iovec parts[2];
    struct frames left = what_is_left(&rest->frames, parts);
    rest->frames = left;
    rest->frames.parts = rest->parts;
    rest->parts[0] = parts[0];
    rest->parts[1] = parts[1];
    shrink(set, rest);
}

enum io_status rest_send(struct connections *set, struct connection *c)
{
    struct rest *rest = c->rest;
    if (rest == NULL)
        return IO_END;
    for (int round = 0; frames_left(&rest->frames) > 0; round++) {
        if (round == ROUNDS)
            return IO_OK;
        struct frames_batch b;
        frames_fill(&b, &rest->frames);
        ssize_t n = io_send_parts(c->fd, b.parts, b.count);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? IO_TIMEOUT : IO_ABORTED;
        rest->frames.sent += (size_t)n;
        forget_sent(set, rest);
    }
    slot_forget_rest(set, c);
    atomic_store_explicit(&c->stage, c->ended ? STAGE_WHOLE : STAGE_OPEN,
                          memory_order_release);
    return IO_END;
}

size_t rest_left(const struct connection *c)
{
    return c->rest == NULL ? 0 : frames_left(&c->rest->frames);
}

bool rest_try(struct connections *set, struct connection *c)
{
    size_t before = rest_left(c);
    if (rest_send(set, c) == IO_TIMEOUT && rest_left(c) == before)
        return false;
    c->again = true;
    slot_set_kind(c, KIND_OUT);
    return true;
}

void rest_give_up(struct connections *set, struct connection *c)
{
    slot_forget_pending(c);
    cut_keep_rest(c, &c->rest->frames);
    slot_forget_rest(set, c);
    c->output = IO_TIMEOUT;
    c->body = IO_ABORTED;
}
