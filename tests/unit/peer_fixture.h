/* A peer without a web server, for the tests of what lies above a request: it sends what
 * a test has put into it, and keeps what it gets. To be included after cmocka.h. */
#ifndef PEER_FIXTURE_H
#define PEER_FIXTURE_H

#include "request/peer.h"
#include "tests/records.h"

#include <stdarg.h>

struct fake_peer {
    struct message pairs;    /* parameters, see fake_peer_set */
    const char *body;        /* that it sends, NULL: none */
    enum io_status body_end; /* what comes after `body`; IO_OK, as zeroed, is IO_END */
    size_t chunk;            /* most that one read gets; 0: no bound */

    struct message out;        /* what was written to it */
    enum io_status out_status; /* that writing gives */
    int writes;
    bool ended;       /* a write was the end */
    int64_t patience; /* timeout of the last read or write */
};

static inline bool fake_peer_begin(void *context, char **pairs, size_t *len)
{
    struct fake_peer *p = context;
    put(&p->pairs, "", 1); /* the room that params_parse wants */
    *len = --p->pairs.len;
    *pairs = (char *)p->pairs.data;
    return true;
}

static inline enum io_status fake_peer_read(void *context, void *data, size_t size,
                                            size_t *got, int64_t timeout)
{
    struct fake_peer *p = context;
    size_t left = p->body == NULL ? 0 : strlen(p->body);
    p->patience = timeout;
    if (left == 0)
        return p->body_end == IO_OK ? IO_END : p->body_end;
    size_t n = left < size ? left : size;
    if (p->chunk > 0 && n > p->chunk)
        n = p->chunk;
    memcpy(data, p->body, n);
    p->body += n;
    *got = n;
    return IO_OK;
}

static inline enum io_status fake_peer_write(void *context, const struct iovec *parts,
                                             int count, int64_t timeout)
{
    struct fake_peer *p = context;
    p->patience = timeout;
    p->writes++;
    if (p->out_status != IO_OK)
        return p->out_status;
    for (int i = 0; i < count; i++)
        put(&p->out, parts[i].iov_base, parts[i].iov_len);
    return IO_OK;
}

static inline enum io_status fake_peer_end(void *context, struct iovec head,
                                           struct buffer *body, int64_t timeout)
{
    struct fake_peer *p = context;
    p->ended = true;
    return fake_peer_write(p, (struct iovec[]){head, {body->data, body->len}}, 2,
                           timeout);
}

static const struct peer_operations fake_peer_operations = {
    .begin = fake_peer_begin,
    .read = fake_peer_read,
    .write = fake_peer_write,
    .end = fake_peer_end,
};

/* Its parameters, "NAME=value" each, "" at the end. */
static inline void fake_peer_set(struct fake_peer *p, const char *const *params)
{
    p->pairs.len = 0;
    for (; (*params)[0] != '\0'; params++)
        put_parameter(&p->pairs, *params);
}

/* Frees what it has, and makes it as new. */
static inline void fake_peer_clear(struct fake_peer *p)
{
    drop(&p->pairs);
    drop(&p->out);
    *p = (struct fake_peer){0};
}

/* It got exactly that. */
static inline void assert_sent(const struct fake_peer *p, const char *text)
{
    if (p->out.len != strlen(text) || memcmp(p->out.data, text, p->out.len) != 0)
        fail_msg("it got \"%.*s\", not \"%s\"", (int)p->out.len,
                 p->out.len > 0 ? (const char *)p->out.data : "", text);
}

#endif
