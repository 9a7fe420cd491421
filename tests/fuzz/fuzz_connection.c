/* libFuzzer: whole connections, through libfcgi, with a real worker.
 *
 *     make .build/fuzz/fuzz_connection
 *     .build/fuzz/fuzz_connection -max_len=4096 tests/fuzz/corpus/connection
 *
 * The input is what a peer sends on one connection, which it then half-closes. The first
 * byte chooses what the worker does with a request, the second how the bytes are cut.
 * With REPEAT it is cut once, and while the worker is busy with what came before the cut,
 * the rest comes many times over, so that it fills the worker's memory. (Only Linux says
 * what a peer has not read yet.)
 * Whatever comes, the worker answers in well-formed records, ends each request at most
 * once, and lets the connection go. */
#include "base/log.h"
#include "fastcgi/connection.h"
#include "fastcgi/fcgi.c" /* what libfcgi made of a head is in its struct */
#include "fastcgi/record.h"
#include "fastcgi/stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_ALL = 1,
    READ_SOME = 2,
    ANSWER_FIRST = 4,
    LARGE = 8,
    KEEP = 16,
    NO_END = 32,
    REPEAT = 64
};
enum { PATIENCE = 20000, FLOOD = 160000 /* bytes: twice a worker's memory */ };

static struct connections *set;
static atomic_uint mode;
static atomic_bool held; /* no request is served yet */

static void demand(bool ok)
{
    if (!ok)
        abort();
}

/* What libfcgi made of the head must be as clean as was promised. */
static void check_parameters(const struct fcgi *fcgi, const char *params, size_t len)
{
    const uint8_t *at = (const uint8_t *)params, *end = at + len;
    struct record_pair pair;
    demand(fcgi->request.role == 1);
    demand(strcmp(fcgi->request.envp[0], "FCGI_ROLE=RESPONDER") == 0 &&
           !fcgi->request.envp[2]);
    demand(params[len] == '\0');
    while (at < end) {
        demand(record_next_pair(&at, end, &pair) && at <= end);
        demand(!memchr(pair.name, 0, pair.name_len + pair.value_len));
    }
}

static void write_answer(struct connection *c, bool end)
{
    static char text[70000];
    struct iovec parts[3] = {{text, 3}, {text, 0}, {text, 11}};
    if ((atomic_load(&mode) & (LARGE | REPEAT)) == LARGE)
        parts[2].iov_len = sizeof text;
    stream_write(c, parts, 3, end, PATIENCE);
}

static void serve(struct connection *c, const struct fcgi *fcgi, const char *params,
                  size_t len)
{
    unsigned m = atomic_load(&mode);
    char part[1000];
    size_t got, limit = m & READ_ALL ? SIZE_MAX : m & READ_SOME ? 10 : 0;
    check_parameters(fcgi, params, len);
    while (atomic_load(&held))
        sched_yield();
    if (m & ANSWER_FIRST)
        write_answer(c, false);
    while (limit > 0 && stream_read(c, part, sizeof part < limit ? sizeof part : limit,
                                    &got, PATIENCE) == IO_OK) {
        demand(got > 0 && got <= sizeof part);
        limit -= got;
    }
    write_answer(c, !(m & NO_END));
}

static void *work(void *arg)
{
    struct connection_reader *r = connection_reader_create(set);
    struct fcgi *fcgi = fcgi_create();
    struct connection *c;
    demand(r && fcgi != NULL);
    while ((c = connection_wait(set, r)) != NULL) {
        char *params;
        size_t len;
        /* The check lets nothing through that fails. */
        demand(stream_begin(c, fcgi, &params, &len));
        serve(c, fcgi, params, len);
        fcgi_release(fcgi);
        connection_release(set, c, atomic_load(&mode) & KEEP);
    }
    connection_reader_destroy(r);
    fcgi_destroy(fcgi);
    return arg;
}

static void start(void)
{
    static struct config config = {.worker_threads = 1,
                                   .max_connections = 4,
                                   .max_head_size = 2048,
                                   .read_timeout = PATIENCE,
                                   .keep_alive_timeout = PATIENCE};
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    log_open("/dev/null", LOG_LEVEL_ERROR);
    set = connections_create(-1, &config);
    demand(set && pthread_create(&thread, NULL, work, NULL) == 0);
}

struct answer {
    uint8_t data[1 << 20];
    size_t len;
};

/* Every record whole and of a type that a server sends; no STDOUT after its end, and
 * nothing after the record that says a response is not whole. */
static void check_answer(const struct answer *a, bool whole)
{
    static bool over[65536];
    memset(over, 0, sizeof over);
    for (size_t at = 0; at < a->len;) {
        demand(a->len - at >= RECORD_HEADER_SIZE || !whole);
        if (a->len - at < RECORD_HEADER_SIZE)
            return;
        struct record r = record_decode(a->data + at);
        if (r.version == 0) {
            demand(r.type == 0 && a->len - at == RECORD_CUT_SIZE && !over[r.id]);
            return;
        }
        demand(r.version == 1);
        demand(r.type == RECORD_STDOUT || r.type == RECORD_END_REQUEST ||
               r.type == RECORD_GET_VALUES_RESULT || r.type == RECORD_UNKNOWN_TYPE);
        demand(r.type != RECORD_STDOUT || !over[r.id]);
        over[r.id] = r.type == RECORD_STDOUT && r.length == 0;
        demand(record_size(&r) <= a->len - at || !whole);
        at += record_size(&r);
    }
}

/* Sends in pieces and reads until the worker has closed. */
static void exchange(int fd, const uint8_t *data, size_t size, size_t step,
                     struct answer *a)
{
    size_t sent = 0;
    bool open = true;
    if (size == 0)
        shutdown(fd, SHUT_WR);
    while (open) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        p.events = (short)(sent < size ? POLLIN | POLLOUT : POLLIN);
        int ready;
        do { /* libFuzzer looks at its clock in a signal handler */
            ready = poll(&p, 1, PATIENCE);
        } while (ready < 0 && errno == EINTR);
        demand(ready == 1);
        if (sent < size && p.revents & POLLOUT) {
            size_t n = size - sent < step ? size - sent : step;
            ssize_t did = send(fd, data + sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
            sent = did > 0                      ? sent + (size_t)did
                   : did < 0 && errno == EAGAIN ? sent
                                                : size;
            if (sent == size)
                shutdown(fd, SHUT_WR);
        }
        if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
            demand(a->len < sizeof a->data);
            ssize_t got =
                recv(fd, a->data + a->len, sizeof a->data - a->len, MSG_DONTWAIT);
            a->len += got > 0 ? (size_t)got : 0;
            open = got > 0 || (got < 0 && errno == EAGAIN);
        }
    }
}

static size_t send_now(int fd, const uint8_t *data, size_t size)
{
    ssize_t did = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return did > 0 ? (size_t)did : 0;
}

static void wait_until_read(int fd)
{
    for (int queued = 1; queued > 0; sched_yield())
        demand(ioctl(fd, SIOCOUTQ, &queued) == 0);
}

static void flood(int fd, const uint8_t *data, size_t size, size_t cut, struct answer *a)
{
    static uint8_t many[FLOOD];
    size_t len = 0;
    for (; size <= sizeof many - len; len += size)
        memcpy(many + len, data, size);
    atomic_store(&held, true);
    size_t sent = send_now(fd, many, cut < size ? cut : size);
    wait_until_read(fd);
    sent += send_now(fd, many + sent, len - sent);
    atomic_store(&held, false);
    exchange(fd, many + sent, len - sent, len, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answer a;
    int pair[2];
    if (!set)
        start();
    if (size < 2)
        return 0;
    atomic_store(&mode, data[0]);
    a.len = 0;
    demand(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    demand(connections_adopt(set, pair[1]));
    if (data[0] & REPEAT && size > 2 && size - 2 <= FLOOD)
        flood(pair[0], data + 2, size - 2, data[1], &a);
    else
        exchange(pair[0], data + 2, size - 2, data[1] ? data[1] : 4096, &a);
    close(pair[0]);
    check_answer(&a, true);
    while (connections_count(set) > 0)
        sched_yield(); /* the slot is free a moment after the descriptor */
    return 0;
}
