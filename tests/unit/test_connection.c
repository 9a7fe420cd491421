/* The connection room: real sockets, real workers, real libfcgi. */
#include "connection.h"
#include "log.h"
#include "record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE = 30000, /* ms until a test that waits has failed */
    BIG = 1 << 20,
    MAX_WORKERS = 8,
};

/* -- A small client -- */

struct bytes {
    uint8_t *data;
    size_t len, cap;
};

static void put(struct bytes *b, const void *p, size_t n)
{
    if (b->len + n > b->cap) {
        b->cap = 2 * (b->len + n);
        b->data = realloc(b->data, b->cap);
        assert_non_null(b->data);
    }
    if (n > 0)
        memcpy(b->data + b->len, p, n);
    b->len += n;
}

static void drop(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

static void put_record(struct bytes *b, unsigned type, unsigned id, const void *content,
                       size_t len, unsigned padding)
{
    static const uint8_t zeros[255];
    uint8_t h[8] = {1,
                    (uint8_t)type,
                    (uint8_t)(id >> 8),
                    (uint8_t)id,
                    (uint8_t)(len >> 8),
                    (uint8_t)len,
                    (uint8_t)padding,
                    0};
    put(b, h, sizeof h);
    put(b, content, len);
    put(b, zeros, padding);
}

static void put_pair(struct bytes *b, const char *name, const char *value)
{
    size_t n = strlen(value);
    uint8_t lengths[5] = {(uint8_t)strlen(name), (uint8_t)(n >> 24 | 0x80),
                          (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    put(b, lengths, 5);
    put(b, name, strlen(name));
    put(b, value, n);
}

static void put_begin(struct bytes *b, unsigned id, unsigned role, bool keep)
{
    uint8_t body[8] = {0, (uint8_t)role, keep};
    put_record(b, RECORD_BEGIN_REQUEST, id, body, 8, id % 8);
}

/* A head whose script is `name`. */
static void put_head(struct bytes *b, unsigned id, bool keep, const char *name,
                     unsigned padding)
{
    struct bytes pairs = {0};
    put_pair(&pairs, "SCRIPT_FILENAME", name);
    put_pair(&pairs, "EMPTY", "");
    put_begin(b, id, 1, keep);
    put_record(b, RECORD_PARAMS, id, pairs.data, pairs.len, padding);
    put_record(b, RECORD_PARAMS, id, "", 0, padding);
    drop(&pairs);
}

static void put_body(struct bytes *b, unsigned id, const uint8_t *body, size_t len,
                     size_t chunk)
{
    for (size_t at = 0; at < len; at += chunk) {
        size_t n = len - at < chunk ? len - at : chunk;
        put_record(b, RECORD_STDIN, id, body + at, n, (unsigned)n % 7);
    }
    put_record(b, RECORD_STDIN, id, "", 0, 0);
}

static void send_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        assert_true(sent > 0);
        at += sent;
        n -= (size_t)sent;
    }
}

/* false: the peer closed. */
static bool receive(int fd, void *p, size_t n)
{
    char *at = p;
    while (n > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE), 1);
        ssize_t got = recv(fd, at, n, 0);
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

struct response {
    struct bytes out;
    bool ended, closed; /* which of the two came first */
    unsigned id, status;
    unsigned others; /* records that are neither STDOUT nor END_REQUEST */
    uint8_t other[256];
};

/* Reads one response, or until the peer closes. */
static void read_response(int fd, struct response *r)
{
    static const struct response none;
    drop(&r->out);
    *r = none;
    bool over = false;
    uint8_t h[8];
    while (receive(fd, h, 8)) {
        struct record record = record_decode(h);
        uint8_t content[65535 + 255];
        assert_int_equal(record.version, 1);
        assert_true(receive(fd, content, record.length + record.padding));
        r->id = record.id;
        if (record.type == RECORD_STDOUT) {
            assert_false(over);
            over = record.length == 0;
            put(&r->out, content, record.length);
        } else if (record.type == RECORD_END_REQUEST) {
            assert_int_equal(record.length, 8);
            r->status = content[4];
            r->ended = true;
            return;
        } else {
            r->others++;
            memcpy(r->other, h, 8);
            memcpy(r->other + 8, content, record.length < 248 ? record.length : 248);
            if (record.type != RECORD_GET_VALUES_RESULT)
                return;
            return;
        }
    }
    r->closed = true;
}

/* -- A small server -- */

/* What its workers do with a request, named by the script:
 *   echo     reads the body, sends it back
 *   count    reads the body, sends its length
 *   ignore   does not read the body, sends "ignored"
 *   big      sends BIG bytes without reading
 *   refuse   asks for keep = false
 *   half     sends without an end, then drops the connection
 *   slow     waits until `gate` is open
 * Anything else: sends the name. */
struct server {
    struct config config;
    struct connections *set;
    pthread_t threads[MAX_WORKERS];
    int workers;
    char path[64];
    int port;
    atomic_uint ready, served, forged, timeouts, aborted, in_slow;
    atomic_bool gate;
    int64_t read_timeout, write_timeout;
};

static uint8_t big_body[BIG];

static enum connection_status say(struct server *s, struct connection *c, const void *p,
                                  size_t n)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)p, n / 2},
                             {(char *)(uintptr_t)p + n / 2, n - n / 2}};
    return connection_write(c, parts, 2, true, s->write_timeout);
}

static enum connection_status read_body(struct server *s, struct connection *c,
                                        struct bytes *body)
{
    enum connection_status status;
    static _Thread_local uint8_t part[50000];
    size_t got;
    while ((status = connection_read(c, part, sizeof part, &got, s->read_timeout)) ==
           CONNECTION_OK) {
        if (got == 0)
            abort();
        put(body, part, got);
    }
    return status;
}

static void wait_for_gate(struct server *s)
{
    atomic_fetch_add(&s->in_slow, 1);
    while (!atomic_load(&s->gate))
        poll(NULL, 0, 1);
}

static bool serve(struct server *s, struct connection *c, const char *name)
{
    struct bytes body = {0};
    enum connection_status status = CONNECTION_END;
    bool keep = strcmp(name, "refuse") != 0;
    if (strcmp(name, "slow") == 0)
        wait_for_gate(s);
    if (strcmp(name, "echo") == 0 || strcmp(name, "count") == 0)
        status = read_body(s, c, &body);
    atomic_fetch_add(&s->timeouts, status == CONNECTION_TIMEOUT);
    atomic_fetch_add(&s->aborted, status == CONNECTION_ABORTED);
    if (status != CONNECTION_END) {
        keep = false;
    } else if (strcmp(name, "half") == 0) {
        struct iovec part = {(void *)(uintptr_t) "half", 4};
        connection_write(c, &part, 1, false, s->write_timeout);
        keep = false;
    } else if (strcmp(name, "echo") == 0) {
        status = say(s, c, body.data ? (void *)body.data : "", body.len);
    } else if (strcmp(name, "count") == 0) {
        char text[32];
        say(s, c, text, (size_t)snprintf(text, sizeof text, "%zu", body.len));
    } else if (strcmp(name, "big") == 0) {
        status = say(s, c, big_body, BIG);
        atomic_fetch_add(&s->timeouts, status == CONNECTION_TIMEOUT);
        atomic_fetch_add(&s->aborted, status == CONNECTION_ABORTED);
    } else {
        say(s, c, strcmp(name, "ignore") == 0 ? "ignored" : name,
            strcmp(name, "ignore") == 0 ? 7 : strlen(name));
    }
    drop(&body);
    return keep;
}

/* The value of SCRIPT_FILENAME, NUL-terminated where the next pair begins, or NULL. */
static const char *script_of(char *params, size_t len)
{
    const uint8_t *at = (uint8_t *)params, *end = at + len;
    struct record_pair pair;
    while (at < end && record_next_pair(&at, end, &pair)) {
        if (pair.name_len == 15 && memcmp(pair.name, "SCRIPT_FILENAME", 15) == 0) {
            params[at - (uint8_t *)params] = '\0';
            return (const char *)pair.value;
        }
    }
    return NULL;
}

static void *work(void *arg)
{
    struct server *s = arg;
    struct connection_reader *r = connection_reader_create(s->set);
    FCGX_Request fcgi;
    struct connection *c;
    if (!r || FCGX_InitRequest(&fcgi, -1, 0) != 0)
        abort();
    atomic_fetch_add(&s->ready, 1);
    while ((c = connection_wait(s->set, r)) != NULL) {
        bool keep = false;
        char *params;
        size_t len;
        if (connection_begin(c, &fcgi, &params, &len)) {
            const char *name = script_of(params, len);
            atomic_fetch_add(&s->served, 1);
            atomic_fetch_add(&s->forged, name && strcmp(name, "forged") == 0);
            keep = serve(s, c, name ? name : "none");
        }
        connection_release(s->set, c, &fcgi, keep);
    }
    connection_reader_destroy(r);
    return NULL;
}

static void default_config(struct server *s)
{
    memset(s, 0, sizeof *s);
    s->config.worker_threads = 2;
    s->config.max_connections = 64;
    s->config.max_head_size = 65536;
    s->config.backlog = 511;
    s->config.listen_mode = 0660;
    s->config.read_timeout = PATIENCE;
    s->config.keep_alive_timeout = PATIENCE;
    s->read_timeout = s->write_timeout = PATIENCE;
    snprintf(s->path, sizeof s->path, "%s/test_connection.%ld.sock", P_tmpdir,
             (long)getpid());
    s->config.listen = s->path;
}

#define wait_until(condition)                                                            \
    do {                                                                                 \
        int64_t deadline_ = now_ms() + PATIENCE;                                         \
        while (!(condition)) {                                                           \
            assert_true(now_ms() < deadline_);                                           \
            poll(NULL, 0, 1);                                                            \
        }                                                                                \
    } while (0)

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void start_workers(struct server *s, int listener)
{
    s->set = connections_create(listener, &s->config);
    assert_non_null(s->set);
    s->workers = s->config.worker_threads;
    for (int i = 0; i < s->workers; i++)
        assert_int_equal(pthread_create(&s->threads[i], NULL, work, s), 0);
    wait_until(atomic_load(&s->ready) == (unsigned)s->workers);
}

static void start(struct server *s)
{
    char error[512] = "";
    int listener = connection_listen(&s->config, error, sizeof error);
    if (listener < 0)
        fail_msg("%s", error);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
        address.sin_family == AF_INET)
        s->port = ntohs(address.sin_port);
    start_workers(s, listener);
}

static void stop(struct server *s)
{
    atomic_store(&s->gate, true);
    connections_stop(s->set);
    for (int i = 0; i < s->workers; i++)
        pthread_join(s->threads[i], NULL);
    connections_destroy(s->set);
    connection_unlink();
}

static int dial(const struct server *s)
{
    if (s->port) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)s->port),
                                 .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
    }
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", s->path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int must_dial(const struct server *s)
{
    int fd = dial(s);
    assert_true(fd >= 0);
    return fd;
}

static void assert_out(const struct response *r, const char *text)
{
    assert_true(r->ended);
    assert_int_equal(r->status, RECORD_REQUEST_COMPLETE);
    assert_int_equal(r->out.len, strlen(text));
    if (r->out.len > 0)
        assert_memory_equal(r->out.data, text, r->out.len);
}

/* One request and its response on `fd`. */
static void ask(int fd, bool keep, const char *name, struct response *r)
{
    struct bytes b = {0};
    put_head(&b, 1, keep, name, 0);
    put_body(&b, 1, NULL, 0, 1);
    send_all(fd, b.data, b.len);
    read_response(fd, r);
    drop(&b);
}

static void assert_closed(int fd)
{
    char byte;
    assert_false(receive(fd, &byte, 1));
}

/* -- Requests -- */

static void keeps_a_connection_for_many_requests(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    for (int i = 0; i < 200; i++) {
        ask(fd, true, "hello", &r);
        assert_out(&r, "hello");
    }
    assert_int_equal(connections_count(s.set), 1);
    ask(fd, false, "last", &r);
    assert_out(&r, "last");
    assert_closed(fd);
    wait_until(connections_count(s.set) == 0);
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void closes_when_the_server_will_not_keep(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    ask(fd, true, "refuse", &r);
    assert_out(&r, "refuse");
    assert_closed(fd);
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void a_response_without_end_closes_without_end_request(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    ask(fd, true, "half", &r);
    assert_true(r.closed);
    assert_int_equal(r.out.len, 4);
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void a_head_byte_by_byte_is_served(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 3, true, "echo", 5);
    put_body(&b, 3, (const uint8_t *)"body", 4, 1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < b.len; i++)
            send_all(fd, b.data + i, 1);
        read_response(fd, &r);
        assert_out(&r, "body");
        assert_int_equal(r.id, 3);
    }
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* Each cut makes the two parts arrive apart: the second is sent when the first is seen.
 */
static void a_request_cut_anywhere_is_served(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 2, true, "echo", 1);
    put_body(&b, 2, (const uint8_t *)"some body", 9, 4);
    for (size_t cut = 1; cut < b.len; cut++) {
        send_all(fd, b.data, cut);
        sched_yield();
        send_all(fd, b.data + cut, b.len - cut);
        read_response(fd, &r);
        assert_out(&r, "some body");
    }
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void pipelined_requests_are_all_served(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    enum { MANY = 300 };
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        put_head(&b, 1 + (unsigned)i, true, name, 0);
        put_body(&b, 1 + (unsigned)i, big_body, (size_t)i * 10, 100);
    }
    /* In pieces that have nothing to do with the requests. */
    for (size_t at = 0; at < b.len; at += 1777)
        send_all(fd, b.data + at, b.len - at < 1777 ? b.len - at : 1777);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        read_response(fd, &r);
        assert_out(&r, name);
        assert_int_equal(r.id, i + 1);
    }
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

struct pour {
    int fd;
    const struct bytes *b;
};

static void *pour(void *arg)
{
    struct pour *p = arg;
    send_all(p->fd, p->b->data, p->b->len);
    return NULL;
}

/* The requests behind a body that nobody read are more than a worker's memory holds. */
static void requests_that_fill_the_memory_are_all_served(void **state)
{
    enum { FULL = 145000, MANY = 170 };
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    pthread_t thread;
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s), queued = 0;
    put_head(&b, 1, true, "slow", 0);
    send_all(fd, b.data, b.len);
    wait_until(atomic_load(&s.in_slow) == 1);
    b.len = 0;
    put_body(&b, 1, NULL, 0, 1);
    for (int i = 0; i < MANY; i++) {
        put_head(&b, 2, true, "behind", 0);
        put_body(&b, 2, big_body, 1000, 1000);
    }
    struct pour p = {fd, &b};
    assert_int_equal(pthread_create(&thread, NULL, pour, &p), 0);
    wait_until(ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > FULL);
    atomic_store(&s.gate, true);
    read_response(fd, &r);
    assert_out(&r, "slow");
    for (int i = 0; i < MANY; i++) {
        read_response(fd, &r);
        assert_out(&r, "behind");
    }
    pthread_join(thread, NULL);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* Sends while reading, as a web server does. */
static void exchange(int fd, const struct bytes *b, struct response *r)
{
    pthread_t thread;
    struct pour p = {fd, b};
    assert_int_equal(pthread_create(&thread, NULL, pour, &p), 0);
    read_response(fd, r);
    pthread_join(thread, NULL);
}

static void bodies_of_every_size_come_back(void **state)
{
    static const size_t sizes[] = {0,    1,    7,     8,     9,     4095,    4096,
                                   8191, 8192, 65535, 65536, 70000, 1000000, BIG};
    static const size_t chunks[] = {1, 100, 4096, 8184, 32768, 65535};
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
            if (sizes[i] > 70000 && chunks[k] < 4096)
                continue;
            struct bytes b = {0};
            put_head(&b, 1, true, "echo", 0);
            put_body(&b, 1, big_body, sizes[i], chunks[k]);
            exchange(fd, &b, &r);
            assert_true(r.ended);
            assert_int_equal(r.out.len, sizes[i]);
            assert_true(sizes[i] == 0 || memcmp(r.out.data, big_body, sizes[i]) == 0);
            drop(&b);
        }
    }
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void heads_up_to_the_limit_are_served_and_longer_refused(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    for (int over = 0; over < 2; over++) {
        struct bytes b = {0}, pairs = {0};
        int fd = must_dial(&s);
        char *value = calloc(1, 65536);
        /* BEGIN 16 + padding 1, two PARAMS records and the empty one, SCRIPT_FILENAME */
        size_t fixed = 17 + 8 + 8 + 8 + (5 + 15 + 4) + 5 + 4;
        memset(value, 'v', 65536 - fixed + (size_t)over);
        put_pair(&pairs, "SCRIPT_FILENAME", "long");
        put_pair(&pairs, "LONG", value);
        put_begin(&b, 1, 1, true);
        put_record(&b, RECORD_PARAMS, 1, pairs.data, 30000, 0);
        put_record(&b, RECORD_PARAMS, 1, pairs.data + 30000, pairs.len - 30000, 0);
        put_record(&b, RECORD_PARAMS, 1, "", 0, 0);
        assert_int_equal(b.len, 65536 + over);
        if (!over) {
            put_record(&b, RECORD_STDIN, 1, "", 0, 0);
            exchange(fd, &b, &r);
            assert_out(&r, "long");
        } else {
            send(fd, b.data, b.len, MSG_NOSIGNAL);
            assert_closed(fd);
        }
        close(fd);
        free(value);
        drop(&b);
        drop(&pairs);
    }
    stop(&s);
    drop(&r.out);
}

/* -- Records that do not belong -- */

static void management_records_are_answered(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_record(&b, RECORD_GET_VALUES, 0, "\16\0FCGI_MAX_CONNS\15\0FCGI_MAX_REQS", 31, 0);
    put_record(&b, 99, 0, "", 0, 0);
    put_head(&b, 1, true, "after", 0);
    put_record(&b, 98, 0, "", 0, 0);
    put_body(&b, 1, NULL, 0, 1);
    send_all(fd, b.data, b.len);
    read_response(fd, &r);
    static const uint8_t values[] = "\1\12\0\0\0\42\6\0\16\2FCGI_MAX_CONNS64"
                                    "\15\1FCGI_MAX_REQS2";
    assert_memory_equal(r.other, values, sizeof values - 1);
    read_response(fd, &r);
    assert_int_equal(r.other[1], RECORD_UNKNOWN_TYPE);
    assert_int_equal(r.other[8], 99);
    unsigned ends = 0, unknown = 0;
    while (ends + unknown < 2) { /* in either order: the response did not wait for it */
        read_response(fd, &r);
        ends += r.ended;
        unknown += r.others == 1 && r.other[8] == 98;
    }
    assert_int_equal(ends, 1);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void other_roles_are_refused_and_the_connection_goes_on(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    for (unsigned role = 2; role < 4; role++) {
        int fd = must_dial(&s);
        for (int keep = 1; keep >= 0; keep--) {
            struct bytes b = {0};
            put_begin(&b, 4, role, keep);
            put_record(&b, RECORD_PARAMS, 4, "\1\1ab", 4, 0);
            put_record(&b, RECORD_PARAMS, 4, "", 0, 0);
            put_record(&b, RECORD_STDIN, 4, "", 0, 0);
            send_all(fd, b.data, b.len);
            read_response(fd, &r);
            assert_true(r.ended);
            assert_int_equal(r.status, RECORD_UNKNOWN_ROLE);
            if (keep) {
                ask(fd, true, "fine", &r);
                assert_out(&r, "fine");
            }
            drop(&b);
        }
        assert_closed(fd);
        close(fd);
    }
    assert_int_equal(atomic_load(&s.served), 2);
    stop(&s);
    drop(&r.out);
}

static void a_second_request_at_once_is_refused_and_the_first_goes_on(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "echo", 0);
    put_record(&b, RECORD_STDIN, 1, "one", 3, 0);
    put_begin(&b, 2, 1, true);
    put_record(&b, RECORD_PARAMS, 2, "\1\1ab", 4, 0);
    put_record(&b, RECORD_STDIN, 2, "two", 3, 0);
    put_record(&b, RECORD_STDIN, 1, "", 0, 0);
    send_all(fd, b.data, b.len);
    read_response(fd, &r);
    assert_int_equal(r.id, 2);
    assert_int_equal(r.status, RECORD_CANT_MPX_CONN);
    read_response(fd, &r);
    assert_int_equal(r.id, 1);
    assert_out(&r, "one");
    ask(fd, true, "next", &r);
    assert_out(&r, "next");
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void an_abort_in_the_body_ends_the_connection(void **state)
{
    struct server s;
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "echo", 0);
    put_record(&b, RECORD_STDIN, 1, "one", 3, 0);
    put_record(&b, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    send_all(fd, b.data, b.len);
    assert_closed(fd);
    assert_int_equal(atomic_load(&s.aborted), 1);
    close(fd);
    stop(&s);
    drop(&b);
}

static void an_abort_in_the_head_never_runs_the_script(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_begin(&b, 1, 1, true);
    put_record(&b, RECORD_PARAMS, 1, "\1\1ab", 4, 0);
    put_record(&b, RECORD_ABORT_REQUEST, 1, "", 0, 0);
    send_all(fd, b.data, b.len);
    read_response(fd, &r);
    assert_out(&r, "");
    ask(fd, true, "next", &r);
    assert_out(&r, "next");
    assert_int_equal(atomic_load(&s.served), 1);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void garbage_closes_the_connection(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n",
                                          "\1\1\0\0\0\10\0\0........",
                                          "\1\4\0\0\0\377\0\0", "\0"};
    static const size_t sizes[] = {18, 16, 8, 1};
    struct server s;
    (void)state;
    default_config(&s);
    start(&s);
    for (size_t i = 0; i < 4; i++) {
        int fd = must_dial(&s);
        send_all(fd, garbage[i], sizes[i]);
        if (i == 2)
            shutdown(fd, SHUT_WR); /* an unknown management record, cut short */
        assert_closed(fd);
        close(fd);
    }
    assert_int_equal(atomic_load(&s.served), 0);
    wait_until(connections_count(s.set) == 0);
    stop(&s);
}

/* -- Unread bodies -- */

/* The body is full of records that would begin a request for "forged", at each alignment;
 * nobody reads it; the connection is kept. */
static void forged_records_in_an_unread_body_begin_nothing(void **state)
{
    static const size_t sizes[] = {200, 5000, 9000, 70000, 200000};
    struct server s;
    struct response r = {0};
    struct bytes forged = {0};
    (void)state;
    default_config(&s);
    start(&s);
    put_head(&forged, 1, true, "forged", 0);
    put_record(&forged, RECORD_STDIN, 1, "", 0, 0);
    for (size_t shift = 0; shift < 16; shift++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct bytes body = {0}, b = {0};
            int fd = must_dial(&s);
            put(&body, "################", shift);
            while (body.len < sizes[i])
                put(&body, forged.data, forged.len);
            put_head(&b, 1, true, "ignore", 0);
            put_body(&b, 1, body.data, body.len, shift % 2 ? 65535 : 1000 + shift);
            put_head(&b, 2, true, "honest", 0);
            put_body(&b, 2, NULL, 0, 1);
            exchange(fd, &b, &r);
            assert_out(&r, "ignored");
            read_response(fd, &r);
            assert_out(&r, "honest");
            close(fd);
            drop(&b);
            drop(&body);
        }
    }
    assert_int_equal(atomic_load(&s.forged), 0);
    stop(&s);
    drop(&r.out);
    drop(&forged);
}

/* More than is worth draining: closed, and what is behind never served. */
static void a_long_unread_body_closes_the_connection(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "ignore", 0);
    put_body(&b, 1, big_body, BIG, 32768);
    exchange(fd, &b, &r);
    assert_out(&r, "ignored");
    assert_closed(fd);
    close(fd);
    assert_int_equal(atomic_load(&s.served), 1);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* A peer that still sends does not lose the response, over TCP either. */
static void closing_with_unread_input_cuts_nothing_off(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct response r = {0};
        struct bytes b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        start(&s);
        for (int i = 0; i < 20; i++) {
            int fd = must_dial(&s);
            b.len = 0;
            put_head(&b, 1, i % 2, "big", 0);
            put_body(&b, 1, big_body, 600000, 32768);
            exchange(fd, &b, &r);
            assert_true(r.ended);
            assert_int_equal(r.out.len, BIG);
            assert_closed(fd);
            close(fd);
        }
        stop(&s);
        drop(&r.out);
        drop(&b);
    }
}

static void the_peer_reads_to_the_end_before_it_sees_the_close(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct response r = {0};
        struct bytes b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        start(&s);
        int fd = must_dial(&s);
        put_head(&b, 1, false, "ignore", 0);
        put_record(&b, RECORD_STDIN, 1, big_body, 30000, 0);
        send_all(fd, b.data, b.len); /* and the body does not end */
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, PATIENCE), 1);
        send_all(fd, b.data, 0);
        read_response(fd, &r);
        assert_out(&r, "ignored");
        char byte;
        assert_int_equal(recv(fd, &byte, 1, 0), 0); /* an end, not a reset */
        close(fd);
        stop(&s);
        drop(&r.out);
        drop(&b);
    }
}

/* -- Deadlines -- */

static void sweep_closes_late_heads_and_idle_connections(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int silent = must_dial(&s), half = must_dial(&s), idle = must_dial(&s);
    put_head(&b, 1, true, "x", 0);
    send_all(half, b.data, b.len / 2);
    ask(idle, true, "idle", &r);
    wait_until(connections_count(s.set) == 3);
    connections_sweep(s.set, &s.config);
    assert_int_equal(connections_count(s.set), 3);

    s.config.keep_alive_timeout = 20;
    wait_until((connections_sweep(s.set, &s.config), connections_count(s.set) == 2));
    assert_closed(idle);
    s.config.read_timeout = 20;
    wait_until((connections_sweep(s.set, &s.config), connections_count(s.set) == 0));
    assert_closed(silent);
    assert_closed(half);
    close(idle);
    close(silent);
    close(half);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* Its bytes keep coming; its time does not begin again with each. */
static void a_trickling_head_is_closed_all_the_same(void **state)
{
    struct server s;
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    s.config.read_timeout = 100;
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "a long name that takes a while to come, byte by byte", 200);
    int64_t began = now_ms();
    size_t sent = 0;
    while (sent < b.len && send(fd, b.data + sent, 1, MSG_NOSIGNAL) == 1) {
        sent++;
        connections_sweep(s.set, &s.config);
        poll(NULL, 0, 5);
        assert_true(now_ms() - began < PATIENCE);
    }
    assert_true(sent < b.len);
    assert_int_equal(atomic_load(&s.served), 0);
    close(fd);
    stop(&s);
    drop(&b);
}

static void a_zero_timeout_closes_nothing(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    s.config.read_timeout = s.config.keep_alive_timeout = 0;
    start(&s);
    int fd = must_dial(&s), silent = must_dial(&s);
    ask(fd, true, "x", &r);
    wait_until(connections_count(s.set) == 2);
    poll(NULL, 0, 20);
    connections_sweep(s.set, &s.config);
    assert_int_equal(connections_count(s.set), 2);
    ask(fd, true, "y", &r);
    assert_out(&r, "y");
    close(fd);
    close(silent);
    stop(&s);
    drop(&r.out);
}

static void a_body_that_does_not_come_times_out(void **state)
{
    struct server s;
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    s.read_timeout = 50;
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "echo", 0);
    put_record(&b, RECORD_STDIN, 1, "begun", 5, 0);
    send_all(fd, b.data, b.len);
    assert_closed(fd);
    assert_int_equal(atomic_load(&s.timeouts), 1);
    close(fd);
    stop(&s);
    drop(&b);
}

static void a_reader_that_does_not_read_times_out(void **state)
{
    struct server s;
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    s.write_timeout = 50;
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "big", 0);
    put_body(&b, 1, NULL, 0, 1);
    send_all(fd, b.data, b.len);
    wait_until(atomic_load(&s.timeouts) == 1);
    wait_until(connections_count(s.set) == 0);
    close(fd);
    stop(&s);
    drop(&b);
}

static void a_reader_that_vanishes_is_noticed(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct bytes b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        start(&s);
        for (unsigned i = 0; i < 10; i++) {
            int fd = must_dial(&s);
            b.len = 0;
            put_head(&b, 1, true, "big", 0);
            put_body(&b, 1, NULL, 0, 1);
            send_all(fd, b.data, b.len);
            struct pollfd p = {.fd = fd, .events = POLLIN};
            assert_int_equal(poll(&p, 1, PATIENCE), 1);
            close(fd);
            /* TCP may take it all before it knows. */
            wait_until(tcp || atomic_load(&s.aborted) == i + 1);
        }
        wait_until(connections_count(s.set) == 0);
        stop(&s);
        drop(&b);
    }
}

static void closed_idle_connections_are_forgotten(void **state)
{
    struct server s;
    struct response r = {0};
    int fds[50];
    (void)state;
    default_config(&s);
    start(&s);
    for (int i = 0; i < 50; i++) {
        fds[i] = must_dial(&s);
        ask(fds[i], true, "x", &r);
    }
    assert_int_equal(connections_count(s.set), 50);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    wait_until(connections_count(s.set) == 0);
    stop(&s);
    drop(&r.out);
}

/* The end of the peer's side comes together with the request. */
static void a_half_closed_peer_is_served_and_then_forgotten(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    for (int i = 0; i < 200; i++) {
        int fd = must_dial(&s);
        b.len = 0;
        put_head(&b, 1, true, "echo", 0);
        put_body(&b, 1, big_body, (size_t)i * 100, 1000);
        send_all(fd, b.data, b.len);
        shutdown(fd, SHUT_WR);
        read_response(fd, &r);
        assert_true(r.ended);
        assert_closed(fd);
        close(fd);
    }
    wait_until(connections_count(s.set) == 0);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* -- Limits -- */

static void silent_and_half_heads_hold_no_worker(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    int fds[60];
    (void)state;
    default_config(&s);
    s.config.worker_threads = 1;
    start(&s);
    put_head(&b, 1, true, "x", 0);
    for (int i = 0; i < 60; i++) {
        fds[i] = must_dial(&s);
        send_all(fds[i], b.data, (size_t)i % 20);
    }
    int fd = must_dial(&s);
    for (int i = 0; i < 100; i++) {
        ask(fd, true, "healthy", &r);
        assert_out(&r, "healthy");
    }
    close(fd);
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static bool is_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, 0) == 1 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static void the_longest_idle_makes_room(void **state)
{
    struct server s;
    struct response r = {0};
    int fds[8];
    (void)state;
    default_config(&s);
    s.config.max_connections = 8;
    start(&s);
    fds[0] = must_dial(&s); /* never sends: not the first to go */
    wait_until(connections_count(s.set) == 1);
    for (int i = 1; i < 8; i++) {
        fds[i] = must_dial(&s);
        ask(fds[i], true, "x", &r);
        int64_t next = now_ms() + 12; /* the coarse clock moves */
        wait_until(now_ms() > next);
    }
    int fd = must_dial(&s);
    ask(fd, true, "new", &r);
    assert_out(&r, "new");
    wait_until(is_closed(fds[1]));
    for (int i = 0; i < 8; i++) {
        assert_int_equal(is_closed(fds[i]), i == 1);
        close(fds[i]);
    }
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void half_heads_make_room_for_the_healthy(void **state)
{
    struct server s;
    struct response r = {0};
    int fds[100];
    (void)state;
    default_config(&s);
    s.config.max_connections = 4;
    start(&s);
    for (int i = 0; i < 100; i++) {
        fds[i] = must_dial(&s);
        send(fds[i], "\1", 1, MSG_NOSIGNAL);
    }
    int fd = must_dial(&s);
    ask(fd, true, "healthy", &r);
    assert_out(&r, "healthy");
    assert_true(connections_count(s.set) <= 4);
    close(fd);
    for (int i = 0; i < 100; i++)
        close(fds[i]);
    stop(&s);
    drop(&r.out);
}

/* Nobody may be closed: the new ones wait in the backlog until somebody is done. */
static void busy_connections_are_never_closed_for_room(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    (void)state;
    default_config(&s);
    s.config.max_connections = 2;
    s.config.worker_threads = 3;
    start(&s);
    int busy[2], fd;
    put_head(&b, 1, false, "slow", 0);
    put_body(&b, 1, NULL, 0, 1);
    for (int i = 0; i < 2; i++) {
        busy[i] = must_dial(&s);
        send_all(busy[i], b.data, b.len);
    }
    wait_until(atomic_load(&s.in_slow) == 2);
    fd = must_dial(&s);
    b.len = 0;
    put_head(&b, 1, false, "waited", 0);
    put_body(&b, 1, NULL, 0, 1);
    send_all(fd, b.data, b.len);
    poll(NULL, 0, 150); /* several retries */
    assert_false(is_closed(busy[0]) || is_closed(busy[1]) || is_closed(fd));
    assert_int_equal(connections_count(s.set), 2);
    atomic_store(&s.gate, true);
    for (int i = 0; i < 2; i++) {
        read_response(busy[i], &r);
        assert_out(&r, "slow");
        close(busy[i]);
    }
    read_response(fd, &r);
    assert_out(&r, "waited");
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static const char *program;

/* What changes the process for good is run in one of its own. */
static void run_myself(const char *what)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execl(program, program, what, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* By run_myself: the limit is the process's. All descriptors are taken while clients wait
 * in the backlog; no event announces them again; they are served when there are some. */
static int starve(void)
{
    struct server s;
    struct response r = {0};
    int held[256], n = 0, fds[20];
    default_config(&s);
    start(&s);
    int kept = must_dial(&s);
    ask(kept, true, "first", &r);
    for (int i = 0; i < 20; i++)
        fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
    struct rlimit limit = {128, 128};
    setrlimit(RLIMIT_NOFILE, &limit);
    while (n < 256 && (held[n] = dup(0)) >= 0)
        n++;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", s.path);
    struct bytes b = {0};
    put_head(&b, 1, true, "starved", 0);
    put_body(&b, 1, NULL, 0, 1);
    for (int i = 0; i < 20; i++) {
        if (connect(fds[i], (struct sockaddr *)&to, sizeof to) != 0)
            return 1;
        send(fds[i], b.data, b.len, MSG_NOSIGNAL);
    }
    /* The idle one makes room for one at a time; each then is idle in its turn. */
    int64_t deadline = now_ms() + PATIENCE;
    while (atomic_load(&s.served) < 2) {
        if (now_ms() > deadline)
            return 2;
        poll(NULL, 0, 1);
    }
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    poll(NULL, 0, 500);
    getrusage(RUSAGE_SELF, &after);
    int64_t spent = (after.ru_utime.tv_sec - before.ru_utime.tv_sec +
                     after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
                        1000000 +
                    after.ru_utime.tv_usec - before.ru_utime.tv_usec +
                    after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    if (spent > 250000)
        return 3; /* it spins */
    while (n > 0)
        close(held[--n]);
    unsigned answered = 0, closed = 0;
    for (int i = 0; i < 20; i++) {
        read_response(fds[i], &r);
        answered += r.ended;
        closed += r.closed;
        close(fds[i]);
    }
    drop(&r.out);
    drop(&b);
    close(kept);
    stop(&s);
    return answered + closed == 20 && answered >= 15 ? 0 : 4;
}

static void without_descriptors_it_waits_and_recovers(void **state)
{
    (void)state;
    run_myself("starve");
}

/* -- Stopping -- */

static void stop_wakes_all_and_finishes_what_runs(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct response r = {0};
        struct bytes b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        s.config.worker_threads = MAX_WORKERS;
        start(&s);
        int idle = must_dial(&s), half = must_dial(&s), slow = must_dial(&s);
        int late = must_dial(&s);
        ask(idle, true, "x", &r);
        send_all(half, "\1\1", 2);
        put_head(&b, 1, true, "slow", 0);
        put_body(&b, 1, NULL, 0, 1);
        send_all(slow, b.data, b.len);
        wait_until(atomic_load(&s.in_slow) == 1);
        connections_stop(s.set);
        assert_closed(idle);
        assert_int_equal(dial(&s), -1);
        ask(late, true, "x", &r); /* who connected before is served */
        assert_closed(late);
        wait_until((connections_sweep(s.set, &s.config), connections_count(s.set) == 1));
        assert_closed(half);
        atomic_store(&s.gate, true);
        read_response(slow, &r);
        assert_out(&r, "slow");
        assert_closed(slow);
        for (int i = 0; i < s.workers; i++)
            pthread_join(s.threads[i], NULL);
        assert_int_equal(connections_count(s.set), 0);
        connections_destroy(s.set);
        connection_unlink();
        close(idle);
        close(half);
        close(slow);
        close(late);
        drop(&r.out);
        drop(&b);
    }
}

/* -- Many at once -- */

struct client {
    struct server *s;
    unsigned seed;
    int requests;
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

static void *run_client(void *arg)
{
    struct client *me = arg;
    struct response r = {0};
    struct bytes b = {0};
    int fd = -1;
    for (int i = 0; i < me->requests; i++) {
        bool keep = next_random(&me->seed) % 4 != 0;
        size_t body = next_random(&me->seed) % 4 ? next_random(&me->seed) % 300
                                                 : next_random(&me->seed) % 50000;
        fd = fd >= 0 ? fd : must_dial(me->s);
        b.len = 0;
        bool echo = next_random(&me->seed) % 2;
        put_head(&b, 1, keep, echo ? "echo" : "ignore", 0);
        put_body(&b, 1, big_body, body, 1 + next_random(&me->seed) % 9000);
        size_t cut = next_random(&me->seed) % 3 ? b.len : next_random(&me->seed) % b.len;
        send_all(fd, b.data, cut);
        sched_yield();
        send_all(fd, b.data + cut, b.len - cut);
        read_response(fd, &r);
        assert_true(r.ended);
        assert_int_equal(r.out.len, echo ? body : 7);
        if (!keep) {
            assert_closed(fd);
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    drop(&r.out);
    drop(&b);
    return NULL;
}

static void many_clients_at_once(void **state)
{
    enum { CLIENTS = 64, REQUESTS = 60 };
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        pthread_t threads[CLIENTS];
        struct client clients[CLIENTS];
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        s.config.worker_threads = 4;
        s.config.max_connections = 256;
        start(&s);
        for (unsigned i = 0; i < CLIENTS; i++) {
            clients[i] = (struct client){&s, i * 77 + 1, REQUESTS};
            assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]),
                             0);
        }
        for (int i = 0; i < CLIENTS; i++) {
            connections_sweep(s.set, &s.config);
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(atomic_load(&s.served), CLIENTS * REQUESTS);
        wait_until(connections_count(s.set) == 0);
        stop(&s);
    }
}

enum { FLOOD = 20000 };

static void *read_flood(void *arg)
{
    int fd = *(int *)arg;
    struct response r = {0};
    for (int i = 0; i < FLOOD; i++) {
        read_response(fd, &r);
        assert_true(r.ended);
    }
    drop(&r.out);
    return NULL;
}

/* A client that always has the next request there does not keep others out. */
static void an_endless_pipeline_starves_nobody(void **state)
{
    struct server s;
    struct response r = {0};
    struct bytes b = {0};
    pthread_t writer, reader;
    (void)state;
    default_config(&s);
    s.config.worker_threads = 1;
    start(&s);
    for (int i = 0; i < FLOOD; i++) {
        put_head(&b, 1, true, "x", 0);
        put_body(&b, 1, NULL, 0, 1);
    }
    int flood = must_dial(&s), fd = must_dial(&s);
    struct pour p = {flood, &b};
    ask(fd, true, "warm", &r);
    assert_int_equal(pthread_create(&writer, NULL, pour, &p), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_flood, &flood), 0);
    wait_until(atomic_load(&s.served) > 100);
    ask(fd, true, "other", &r);
    assert_out(&r, "other");
    assert_true(atomic_load(&s.served) < FLOOD);
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    assert_int_equal(atomic_load(&s.served), FLOOD + 2);
    close(flood);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void adopted_sockets_are_served(void **state)
{
    struct server s;
    struct response r = {0};
    int pair[2];
    (void)state;
    default_config(&s);
    s.config.max_connections = 1;
    start_workers(&s, -1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(connections_adopt(s.set, pair[1]));
    assert_false(connections_adopt(s.set, pair[0]));
    ask(pair[0], true, "adopted", &r);
    assert_out(&r, "adopted");
    close(pair[0]);
    wait_until(connections_count(s.set) == 0);
    stop(&s);
    drop(&r.out);
}

/* -- Listening -- */

static void assert_refused(const struct config *config, const char *part)
{
    char error[512] = "";
    assert_int_equal(connection_listen(config, error, sizeof error), -1);
    if (!strstr(error, part))
        fail_msg("\"%s\" does not say \"%s\"", error, part);
    assert_null(strchr(error, '\n'));
}

static int must_listen(const struct config *config)
{
    char error[512] = "";
    int fd = connection_listen(config, error, sizeof error);
    if (fd < 0)
        fail_msg("%s", error);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    return fd;
}

static void a_stale_socket_is_replaced_and_a_live_one_left_alone(void **state)
{
    struct server s;
    struct stat st, again;
    (void)state;
    default_config(&s);
    int fd = must_listen(&s.config);
    assert_int_equal(lstat(s.path, &st), 0);
    assert_refused(&s.config, "another server listens");
    assert_int_equal(lstat(s.path, &again), 0);
    assert_int_equal(st.st_ino, again.st_ino);
    close(fd); /* now it is stale */
    fd = must_listen(&s.config);
    close(fd);
    connection_unlink();
    assert_int_equal(lstat(s.path, &st), -1);
}

static void a_socket_that_is_not_ours_any_more_is_not_unlinked(void **state)
{
    struct server s;
    struct stat st;
    (void)state;
    default_config(&s);
    int fd = must_listen(&s.config);
    assert_int_equal(unlink(s.path), 0);
    int other = open(s.path, O_CREAT | O_WRONLY, 0600);
    connection_unlink();
    assert_int_equal(lstat(s.path, &st), 0);
    close(fd);
    close(other);
    unlink(s.path);
}

static void any_other_file_is_refused_and_left_alone(void **state)
{
    struct server s;
    struct stat st;
    (void)state;
    default_config(&s);
    int fd = open(s.path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_refused(&s.config, "not a socket");
    assert_int_equal(stat(s.path, &st), 0);
    close(fd);
    unlink(s.path);
    assert_int_equal(symlink("/nonexistent", s.path), 0);
    assert_refused(&s.config, "not a socket");
    unlink(s.path);
    assert_int_equal(mkdir(s.path, 0700), 0);
    assert_refused(&s.config, "not a socket");
    rmdir(s.path);
}

static void the_mode_is_as_told_whatever_the_umask(void **state)
{
    static const unsigned modes[] = {0600, 0660, 0666, 0777};
    struct server s;
    struct stat st;
    (void)state;
    default_config(&s);
    for (unsigned mask = 0; mask < 0100; mask += 077) {
        for (size_t i = 0; i < 4; i++) {
            mode_t before = umask((mode_t)mask);
            s.config.listen_mode = modes[i];
            int fd = must_listen(&s.config);
            assert_int_equal(umask(before), mask);
            assert_int_equal(stat(s.path, &st), 0);
            assert_int_equal(st.st_mode & 0777, modes[i]);
            close(fd);
            connection_unlink();
        }
    }
}

static void owner_and_group_are_set(void **state)
{
    struct server s;
    struct stat st;
    (void)state;
    default_config(&s);
    char nobody[] = "no such user or group", number[16];
    s.config.listen_owner = nobody;
    assert_refused(&s.config, "ListenOwner");
    s.config.listen_owner = NULL;
    s.config.listen_group = nobody;
    assert_refused(&s.config, "ListenGroup");
    assert_int_equal(lstat(s.path, &st), -1); /* nothing is left behind */
    gid_t group = geteuid() == 0 ? 12345 : getegid();
    snprintf(number, sizeof number, "%u", (unsigned)group);
    s.config.listen_group = number;
    int fd = must_listen(&s.config);
    assert_int_equal(stat(s.path, &st), 0);
    assert_int_equal(st.st_gid, group);
    assert_int_equal(st.st_mode & 0777, 0660);
    close(fd);
    connection_unlink();
}

static void wrong_addresses_are_named(void **state)
{
    struct server s;
    char text[300];
    (void)state;
    default_config(&s);
    s.config.listen = text;
    memset(text, 'x', sizeof text);
    memcpy(text, "/run/", 5);
    text[sizeof text - 1] = '\0';
    assert_refused(&s.config, "from 1 to 107 bytes, got 299");
    static const char *const rows[][2] = {{"127.0.0.1:http", "expected a path"},
                                          {"127.0.0.1:65536", "expected a path"},
                                          {"127.0.0.1:-1", "expected a path"},
                                          {"127.0.0.1:", "expected a path"},
                                          {"::1:9000", "expected a path"},
                                          {"", "from 1 to"},
                                          {"fd:x", "expected a path"},
                                          {"fd:0x", "expected a path"},
                                          {"fd:999", "not a listening"},
                                          {"203.0.113.1:9000", "203.0.113.1:9000: "},
                                          {"/nonexistent/dir/x.sock", "cannot make"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "%s", rows[i][0]);
        assert_refused(&s.config, rows[i][1]);
    }
}

static int bound_port(int fd, int family)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(a.ss_family, family);
    return ntohs(family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                   : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void tcp_addresses_of_every_form(void **state)
{
    struct server s;
    char text[64];
    (void)state;
    default_config(&s);
    s.config.listen = text;
    snprintf(text, sizeof text, ":0");
    int fd = must_listen(&s.config);
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(ntohl(a.sin_addr.s_addr), INADDR_LOOPBACK);
    snprintf(text, sizeof text, "127.0.0.1:%d", bound_port(fd, AF_INET));
    assert_refused(&s.config, "another server listens");
    close(fd);
    fd = must_listen(&s.config);
    close(fd);
    snprintf(text, sizeof text, "*:0");
    fd = must_listen(&s.config);
    close(fd);
    if (have_ipv6()) {
        snprintf(text, sizeof text, "[::1]:0");
        fd = must_listen(&s.config);
        assert_true(bound_port(fd, AF_INET6) > 0);
        close(fd);
    }
}

static void inherited_sockets_are_used_and_not_unlinked(void **state)
{
    struct server s;
    struct stat st;
    char text[32], path[64];
    (void)state;
    default_config(&s);
    int fd = must_listen(&s.config);
    snprintf(path, sizeof path, "%s", s.path);
    fcntl(fd, F_SETFD, 0);
    fcntl(fd, F_SETFL, 0);
    snprintf(text, sizeof text, "fd:%d", fd);
    s.config.listen = text;
    assert_int_equal(must_listen(&s.config), fd);
    close(fd);
    assert_int_equal(lstat(path, &st), 0);
    unlink(path);
}

/* By run_myself: the environment and descriptor 3 are the process's. */
static int systemd_child(void)
{
    struct server s;
    char pid[32], error[256];
    default_config(&s);
    int fd = connection_listen(&s.config, error, sizeof error);
    if (fd < 0 || (fd != 3 && dup2(fd, 3) != 3))
        return 1;
    char elsewhere[] = "/nonexistent/dir/x.sock";
    s.config.listen = elsewhere;
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "1", 1);
    if (connection_listen(&s.config, error, sizeof error) != -1 || getenv("LISTEN_FDS"))
        return 2; /* another process's */
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    if (connection_listen(&s.config, error, sizeof error) != -1 ||
        !strstr(error, "2 sockets"))
        return 3;
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    if (connection_listen(&s.config, error, sizeof error) != 3 || getenv("LISTEN_FDS") ||
        getenv("LISTEN_PID") || !(fcntl(3, F_GETFD) & FD_CLOEXEC))
        return 4;
    unlink(s.path);
    return 0;
}

static void systemd_sockets_take_the_place_of_listen(void **state)
{
    (void)state;
    run_myself("systemd");
}

static void only_listed_web_servers_may_connect(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool allowed;
    } rows[] = {{"127.0.0.1", true},
                {"10.0.0.1, ::ffff:127.0.0.1", true},
                {"10.0.0.1,10.0.0.2", false},
                {"nonsense", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct server s;
        struct response r = {0};
        struct bytes b = {0};
        char any[] = "127.0.0.1:0";
        default_config(&s);
        s.config.listen = any;
        setenv("FCGI_WEB_SERVER_ADDRS", rows[i].list, 1);
        start(&s);
        unsetenv("FCGI_WEB_SERVER_ADDRS");
        int fd = must_dial(&s);
        put_head(&b, 1, false, "x", 0);
        put_body(&b, 1, NULL, 0, 1);
        send(fd, b.data, b.len, MSG_NOSIGNAL);
        read_response(fd, &r);
        assert_int_equal(r.ended, rows[i].allowed);
        close(fd);
        stop(&s);
        drop(&r.out);
        drop(&b);
    }
}

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < BIG; i++)
        big_body[i] = (uint8_t)(i * 7 + i / 251);
    return 0;
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1) {
        set_up(NULL);
        return strcmp(argv[1], "starve") == 0 ? starve() : systemd_child();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_connection_for_many_requests),
        cmocka_unit_test(closes_when_the_server_will_not_keep),
        cmocka_unit_test(a_response_without_end_closes_without_end_request),
        cmocka_unit_test(a_head_byte_by_byte_is_served),
        cmocka_unit_test(a_request_cut_anywhere_is_served),
        cmocka_unit_test(pipelined_requests_are_all_served),
        cmocka_unit_test(requests_that_fill_the_memory_are_all_served),
        cmocka_unit_test(bodies_of_every_size_come_back),
        cmocka_unit_test(heads_up_to_the_limit_are_served_and_longer_refused),
        cmocka_unit_test(management_records_are_answered),
        cmocka_unit_test(other_roles_are_refused_and_the_connection_goes_on),
        cmocka_unit_test(a_second_request_at_once_is_refused_and_the_first_goes_on),
        cmocka_unit_test(an_abort_in_the_body_ends_the_connection),
        cmocka_unit_test(an_abort_in_the_head_never_runs_the_script),
        cmocka_unit_test(garbage_closes_the_connection),
        cmocka_unit_test(forged_records_in_an_unread_body_begin_nothing),
        cmocka_unit_test(a_long_unread_body_closes_the_connection),
        cmocka_unit_test(closing_with_unread_input_cuts_nothing_off),
        cmocka_unit_test(the_peer_reads_to_the_end_before_it_sees_the_close),
        cmocka_unit_test(sweep_closes_late_heads_and_idle_connections),
        cmocka_unit_test(a_trickling_head_is_closed_all_the_same),
        cmocka_unit_test(a_zero_timeout_closes_nothing),
        cmocka_unit_test(a_body_that_does_not_come_times_out),
        cmocka_unit_test(a_reader_that_does_not_read_times_out),
        cmocka_unit_test(a_reader_that_vanishes_is_noticed),
        cmocka_unit_test(closed_idle_connections_are_forgotten),
        cmocka_unit_test(a_half_closed_peer_is_served_and_then_forgotten),
        cmocka_unit_test(silent_and_half_heads_hold_no_worker),
        cmocka_unit_test(the_longest_idle_makes_room),
        cmocka_unit_test(half_heads_make_room_for_the_healthy),
        cmocka_unit_test(busy_connections_are_never_closed_for_room),
        cmocka_unit_test(without_descriptors_it_waits_and_recovers),
        cmocka_unit_test(stop_wakes_all_and_finishes_what_runs),
        cmocka_unit_test(many_clients_at_once),
        cmocka_unit_test(an_endless_pipeline_starves_nobody),
        cmocka_unit_test(adopted_sockets_are_served),
        cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_left_alone),
        cmocka_unit_test(a_socket_that_is_not_ours_any_more_is_not_unlinked),
        cmocka_unit_test(any_other_file_is_refused_and_left_alone),
        cmocka_unit_test(the_mode_is_as_told_whatever_the_umask),
        cmocka_unit_test(owner_and_group_are_set),
        cmocka_unit_test(wrong_addresses_are_named),
        cmocka_unit_test(tcp_addresses_of_every_form),
        cmocka_unit_test(inherited_sockets_are_used_and_not_unlinked),
        cmocka_unit_test(systemd_sockets_take_the_place_of_listen),
        cmocka_unit_test(only_listed_web_servers_may_connect),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
