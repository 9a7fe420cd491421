/* Requests that the web server no longer wants. Runs in the thread that owns the
 * connection, and for one that waits in whoever has the waiters' lock. Owns nothing. */
#include "fastcgi/abort.h"

#include "fastcgi/record.h"
#include "fastcgi/stream.h"
#include <errno.h>
#include <sys/socket.h>

enum { PEEKED = 512 }; /* bytes of the socket that are looked at */

/* Bytes that are in two places, one behind the other. */
struct unread {
    const uint8_t *memory, *socket;
    size_t memory_len, socket_len;
};

/* false: it has not come as a whole. */
static bool copy_header(const struct unread *u, size_t at,
                        uint8_t header[RECORD_HEADER_SIZE])
{
    if (at + RECORD_HEADER_SIZE > u->memory_len + u->socket_len)
        return false;
    for (size_t i = 0; i < RECORD_HEADER_SIZE; i++, at++)
        header[i] = at < u->memory_len ? u->memory[at] : u->socket[at - u->memory_len];
    return true;
}

/* From record to record. What is no record of a body, such as the head of a next request,
 * ends the search. */
static bool find(const struct connection *c, const struct unread *u)
{
    uint8_t header[RECORD_HEADER_SIZE];
    size_t at = (size_t)c->content + c->padding;
    while (copy_header(u, at, header)) {
        struct record record = record_decode(header);
        enum record_body what = record_body(&record, c->id);
        if (what == RECORD_BODY_ABORT || what == RECORD_BODY_BAD)
            return what == RECORD_BODY_ABORT;
        at += record_size(&record);
    }
    return false;
}

static struct unread in_memory(const struct connection *c)
{
    const struct connection_reader *r = c->reader;
    if (r == NULL)
        return (struct unread){.memory = c->pending, .memory_len = c->pending_len};
    return (struct unread){.memory = r->feed.data + r->from,
                           .memory_len = r->to - r->from};
}

bool abort_has_come(const struct connection *c, bool all)
{
    uint8_t peeked[PEEKED];
    ssize_t n = 0;
    if (c->output != IO_OK || (c->body != IO_OK && c->body != IO_END))
        return false;
    struct unread u = in_memory(c);
    do {
        if (all)
            n = recv(c->fd, peeked, sizeof peeked, MSG_PEEK | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    u.socket = peeked;
    u.socket_len = n > 0 ? (size_t)n : 0;
    return find(c, &u);
}

bool abort_answer(struct connection *c)
{
    return !c->ended && c->rest == NULL && abort_has_come(c, true) &&
           stream_write(c, NULL, 0, true, 0) == IO_OK;
}
