/* A response as FCGI_STDOUT records. See fastcgi/frames.h.
 *
 * Runs in the thread that owns the connection; no locks, nothing shared. */
#include "fastcgi/frames.h"

#include <string.h>

struct frames frames_of(const struct iovec *parts, int count, uint16_t id, bool closes)
{
    struct frames f = {.parts = parts,
                       .count = count,
                       .id = id,
                       .type = RECORD_STDOUT,
                       .closes = closes};
    for (int i = 0; i < count; i++)
        f.content += parts[i].iov_len;
    return f;
}

/* Without the records that end the request. */
static size_t stdout_size(const struct frames *f)
{
    size_t records = (f->content + RECORD_MAX_STDOUT - 1) / RECORD_MAX_STDOUT;
    return f->content + records * RECORD_HEADER_SIZE;
}

size_t frames_left(const struct frames *f)
{
    return stdout_size(f) + (f->closes ? FRAMES_CLOSING : 0) - f->sent;
}

size_t frames_content_sent(const struct frames *f)
{
    size_t whole = f->sent / FRAMES_FULL, part = f->sent % FRAMES_FULL;
    size_t sent = whole * RECORD_MAX_STDOUT +
                  (part > RECORD_HEADER_SIZE ? part - RECORD_HEADER_SIZE : 0);
    return sent < f->content ? sent : f->content;
}

size_t frames_open(const struct frames *f)
{
    size_t all = stdout_size(f), part = f->sent % FRAMES_FULL;
    if (f->sent >= all)
        return f->sent == all ? 0 : frames_left(f);
    size_t begin = f->sent - part;
    size_t end = all - begin < FRAMES_FULL ? all : begin + FRAMES_FULL;
    return part == 0 ? 0 : end - f->sent;
}

static void add(struct frames_batch *b, const void *data, size_t len)
{
    b->parts[b->count++] = (struct iovec){(void *)(uintptr_t)data, len};
}

/* Where in the content a batch goes on. */
struct place {
    const struct iovec *part;
    size_t skip; /* bytes of it that are out */
};

static struct place find(const struct frames *f, size_t at)
{
    struct place p = {f->parts, at};
    for (int i = 1; i < f->count && p.skip >= p.part->iov_len; i++) {
        p.skip -= p.part->iov_len;
        p.part++;
    }
    return p;
}

static void add_content(struct frames_batch *b, struct place *p, size_t len)
{
    while (len > 0) {
        size_t there = p->part->iov_len - p->skip, n = there < len ? there : len;
        if (n > 0)
            add(b, (const uint8_t *)p->part->iov_base + p->skip, n);
        len -= n;
        p->skip += n;
        if (p->skip == p->part->iov_len && len > 0)
            *p = (struct place){p->part + 1, 0};
    }
}

static void add_closing(struct frames_batch *b, const struct frames *f, size_t skip)
{
    size_t n = record_put_header(b->closing, RECORD_STDOUT, f->id, 0);
    record_put_end(b->closing + n, f->id, RECORD_REQUEST_COMPLETE);
    add(b, b->closing + skip, FRAMES_CLOSING - skip);
}

void frames_fill(struct frames_batch *b, const struct frames *f)
{
    size_t at = frames_content_sent(f), skip = f->sent % FRAMES_FULL;
    size_t end = stdout_size(f);
    struct place place = find(f, at);
    b->count = 0;
    for (int i = 0; at < f->content && i < FRAMES_RECORDS; i++) {
        size_t begin = at - (skip > RECORD_HEADER_SIZE ? skip - RECORD_HEADER_SIZE : 0);
        size_t whole = f->content - begin;
        if (whole > RECORD_MAX_STDOUT)
            whole = RECORD_MAX_STDOUT;
        if (skip < RECORD_HEADER_SIZE) {
            record_put_header(b->headers[i], f->type, f->id, whole);
            add(b, b->headers[i] + skip, RECORD_HEADER_SIZE - skip);
        }
        add_content(b, &place, begin + whole - at);
        at = begin + whole;
        skip = 0;
    }
    if (at == f->content && f->closes)
        add_closing(b, f, f->sent > end ? f->sent - end : 0);
}

static void copy(const struct frames *f, size_t left, uint8_t *out)
{
    struct frames_batch b;
    if (left > 0)
        frames_fill(&b, f);
    for (int i = 0; left > 0; i++) {
        size_t n = b.parts[i].iov_len < left ? b.parts[i].iov_len : left;
        memcpy(out, b.parts[i].iov_base, n);
        out += n;
        left -= n;
    }
}

void frames_copy_open(const struct frames *f, uint8_t *out)
{
    copy(f, frames_open(f), out);
}

void frames_copy_left(const struct frames *f, uint8_t *out)
{
    copy(f, frames_left(f), out);
}
