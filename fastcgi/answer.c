/* Answers to records that do not belong to the request in progress.
 *
 * Runs in the worker that owns the connection; no locks. They may go out between two
 * writes of a response, never inside one. */
#include "fastcgi/answer.h"

#include "fastcgi/io.h"

/* Such an answer fits into any socket whose peer reads at all. */
static bool send_answer(struct connection *c, const uint8_t *p, size_t n)
{
    if (c->output != IO_OK || io_send(c->fd, p, n) != (ssize_t)n) {
        c->output = IO_ABORTED;
        return false;
    }
    return true;
}

bool answer_values(struct connection *c, const uint8_t *p)
{
    uint8_t out[RECORD_VALUES_SIZE];
    const struct connections *set = c->reader->set;
    size_t n = record_put_values(out, p + RECORD_HEADER_SIZE, record_decode(p).length,
                                 (unsigned)set->size, set->workers);
    return n > 0 && send_answer(c, out, n);
}

bool answer_unknown(struct connection *c, uint8_t type)
{
    uint8_t out[RECORD_END_SIZE];
    return send_answer(c, out, record_put_unknown(out, type));
}

bool answer_end(struct connection *c, uint16_t id, enum record_protocol_status status)
{
    uint8_t out[RECORD_END_SIZE];
    return send_answer(c, out, record_put_end(out, id, status));
}
