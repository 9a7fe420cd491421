/* What the tests of fastcgi/ share: a client that speaks FastCGI, and a small
 * server of real sockets, real workers and the real libfcgi. A test that needs a process
 * of its own says what is to run there in its main. */
#ifndef CONNECTION_FIXTURE_H
#define CONNECTION_FIXTURE_H

#include "base/log.h"
#include "fastcgi/connection.h"
#include "fastcgi/listener.h"
#include "fastcgi/record.h"
#include "fastcgi/stream.h"
#include "tests/records.h"

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
    LARGE = 24 << 20, /* more than sockets take */
    MAX_WORKERS = 8,
};

/* -- A small client -- */

/* The head of a request for the script `name`. */
static inline void put_head(struct message *b, unsigned id, bool keep, const char *name,
                            unsigned padding)
{
    struct message pairs = {0};
    put_pair(&pairs, "SCRIPT_FILENAME", name, false);
    put_pair(&pairs, "EMPTY", "", true);
    put_begin(b, id, 1, keep, id % 8);
    put_record(b, RECORD_PARAMS, id, pairs.data, pairs.len, padding);
    put_record(b, RECORD_PARAMS, id, "", 0, padding);
    drop(&pairs);
}

static inline void put_body(struct message *b, unsigned id, const uint8_t *body,
                            size_t len, size_t chunk)
{
    put_stream(b, RECORD_STDIN, id, body, len, chunk);
}

static inline void send_all(int fd, const void *p, size_t n)
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

static inline void send_message(int fd, const struct message *m)
{
    send_all(fd, m->data, m->len);
}

/* A whole request, with an empty body. */
static inline void send_request(int fd, bool keep, const char *name)
{
    struct message m = {0};
    put_head(&m, 1, keep, name, 0);
    put_body(&m, 1, NULL, 0, 1);
    send_message(fd, &m);
    drop(&m);
}

/* false: the peer closed. */
static inline bool receive(int fd, void *p, size_t n)
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
    struct message out;
    bool ended, closed; /* which of the two came first */
    bool cut;           /* the record came which says that the response is not whole */
    unsigned id, status;
    unsigned others; /* records that are neither STDOUT nor END_REQUEST */
    uint8_t other[256];
};

/* Reads one response, or until the peer closes. */
static inline void read_response(int fd, struct response *r)
{
    static const struct response none;
    drop(&r->out);
    *r = none;
    bool over = false;
    uint8_t h[8];
    while (receive(fd, h, 8)) {
        struct record record = record_decode(h);
        uint8_t content[65535 + 255];
        assert_false(r->cut);
        if (record.version == 0) {
            uint8_t expected[RECORD_CUT_SIZE];
            record_put_cut(expected, 1);
            assert_memory_equal(h, expected, sizeof expected);
            r->cut = true;
            continue;
        }
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

static inline int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* -- A small server -- */

/* What its workers do with a request, named by the script:
 *   echo     reads the body, sends it back
 *   count    reads the body, sends its length
 *   ignore   does not read the body, sends "ignored"
 *   big      sends BIG bytes without reading
 *   refuse   asks for keep = false
 *   half     sends without an end, then drops the connection
 *   large    the same with LARGE bytes
 *   left     the same, and does not wait until they are read
 *   pushed   the same in two halves, waiting in between as a script does
 *   dropped  pushes LARGE bytes, then drops the connection
 *   slow     waits until `gate` is open
 *   begun    sends "begun" before that
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

static uint8_t big_body[BIG], large_body[LARGE];

static inline enum io_status say(struct server *s, struct connection *c, const void *p,
                                 size_t n)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)p, n / 2},
                             {(char *)(uintptr_t)p + n / 2, n - n / 2}};
    return stream_write(c, parts, 2, true, s->write_timeout);
}

/* What it has of `body` afterwards is freed. */
static inline enum io_status say_and_leave(struct server *s, struct connection *c,
                                           const void *p, size_t n)
{
    struct buffer body = {0};
    if (!buffer_append(&body, p, n))
        abort();
    enum io_status status = stream_end(c, (struct iovec){0}, &body, s->write_timeout);
    buffer_free(&body);
    return status;
}

/* Waits until what was pushed is out, as a script does that looks now and then. */
static inline enum io_status settle(struct server *s, struct connection *c)
{
    enum io_status status;
    int64_t since = now_ms();
    while ((status = stream_settle(c, 0)) == IO_OK || status == IO_TIMEOUT) {
        if (status == IO_OK)
            since = now_ms();
        if (now_ms() - since < s->write_timeout) {
            poll(NULL, 0, 1);
            continue;
        }
        stream_give_up(c);
        return IO_TIMEOUT;
    }
    return status;
}

static inline enum io_status push(struct connection *c, const void *p, size_t n)
{
    struct buffer body = {0};
    if (!buffer_append(&body, p, n))
        abort();
    enum io_status status = stream_push(c, (struct iovec){0}, &body, PATIENCE);
    buffer_free(&body);
    return status;
}

static inline enum io_status push_and_say(struct server *s, struct connection *c)
{
    push(c, large_body, LARGE / 2);
    enum io_status status = settle(s, c);
    return status == IO_END
               ? say_and_leave(s, c, large_body + LARGE / 2, LARGE - LARGE / 2)
               : status;
}

static inline enum io_status read_body(struct server *s, struct connection *c,
                                       struct message *body)
{
    enum io_status status;
    static _Thread_local uint8_t part[50000];
    size_t got;
    while ((status = stream_read(c, part, sizeof part, &got, s->read_timeout)) == IO_OK) {
        if (got == 0)
            abort();
        put(body, part, got);
    }
    return status;
}

static inline void wait_for_gate(struct server *s)
{
    atomic_fetch_add(&s->in_slow, 1);
    while (!atomic_load(&s->gate))
        poll(NULL, 0, 1);
}

static inline bool serve(struct server *s, struct connection *c, const char *name)
{
    struct message body = {0};
    enum io_status status = IO_END;
    bool keep = strcmp(name, "refuse") != 0;
    if (strcmp(name, "begun") == 0) {
        struct iovec part = {(void *)(uintptr_t) "begun", 5};
        stream_write(c, &part, 1, false, s->write_timeout);
    }
    if (strcmp(name, "slow") == 0 || strcmp(name, "begun") == 0)
        wait_for_gate(s);
    if (strcmp(name, "echo") == 0 || strcmp(name, "count") == 0)
        status = read_body(s, c, &body);
    atomic_fetch_add(&s->timeouts, status == IO_TIMEOUT);
    atomic_fetch_add(&s->aborted, status == IO_ABORTED);
    if (status != IO_END) {
        keep = false;
    } else if (strcmp(name, "half") == 0) {
        struct iovec part = {(void *)(uintptr_t) "half", 4};
        stream_write(c, &part, 1, false, s->write_timeout);
        keep = false;
    } else if (strcmp(name, "echo") == 0) {
        status = say(s, c, body.data ? (void *)body.data : "", body.len);
    } else if (strcmp(name, "count") == 0) {
        char text[32];
        say(s, c, text, (size_t)snprintf(text, sizeof text, "%zu", body.len));
    } else if (strcmp(name, "big") == 0 || strcmp(name, "large") == 0) {
        bool big = strcmp(name, "big") == 0;
        status = say(s, c, big ? big_body : large_body, big ? BIG : LARGE);
        atomic_fetch_add(&s->timeouts, status == IO_TIMEOUT);
        atomic_fetch_add(&s->aborted, status == IO_ABORTED);
    } else if (strcmp(name, "pushed") == 0) {
        status = push_and_say(s, c);
        atomic_fetch_add(&s->timeouts, status == IO_TIMEOUT);
        atomic_fetch_add(&s->aborted, status == IO_ABORTED);
    } else if (strcmp(name, "dropped") == 0) {
        push(c, large_body, LARGE);
        keep = false;
    } else if (strcmp(name, "left") == 0) {
        status = say_and_leave(s, c, large_body, LARGE);
        atomic_fetch_add(&s->timeouts, status == IO_TIMEOUT);
        atomic_fetch_add(&s->aborted, status == IO_ABORTED);
    } else {
        status = say(s, c, strcmp(name, "ignore") == 0 ? "ignored" : name,
                     strcmp(name, "ignore") == 0 ? 7 : strlen(name));
        atomic_fetch_add(&s->aborted, status == IO_ABORTED);
    }
    drop(&body);
    return keep;
}

/* The value of SCRIPT_FILENAME, NUL-terminated where the next pair begins, or NULL. */
static inline const char *script_of(char *params, size_t len)
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

static inline void *work(void *arg)
{
    struct server *s = arg;
    struct connection_reader *r = connection_reader_create(s->set);
    struct fcgi *fcgi = fcgi_create();
    struct connection *c;
    if (!r || fcgi == NULL)
        abort();
    atomic_fetch_add(&s->ready, 1);
    while ((c = connection_wait(s->set, r)) != NULL) {
        bool keep = false;
        char *params;
        size_t len;
        if (stream_begin(c, fcgi, &params, &len)) {
            const char *name = script_of(params, len);
            atomic_fetch_add(&s->served, 1);
            atomic_fetch_add(&s->forged, name && strcmp(name, "forged") == 0);
            keep = serve(s, c, name ? name : "none");
        }
        fcgi_release(fcgi);
        connection_release(s->set, c, keep);
    }
    connection_reader_destroy(r);
    fcgi_destroy(fcgi);
    return NULL;
}

static inline void default_config(struct server *s)
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

static inline void start_workers(struct server *s, int listener)
{
    s->set = connections_create(listener, &s->config);
    assert_non_null(s->set);
    s->workers = s->config.worker_threads;
    for (int i = 0; i < s->workers; i++)
        assert_int_equal(pthread_create(&s->threads[i], NULL, work, s), 0);
    wait_until(atomic_load(&s->ready) == (unsigned)s->workers);
}

static inline void start(struct server *s)
{
    char error[512] = "";
    int listener = listener_listen(&s->config, error, sizeof error);
    if (listener < 0)
        fail_msg("%s", error);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
        address.sin_family == AF_INET)
        s->port = ntohs(address.sin_port);
    start_workers(s, listener);
}

/* Waits for the workers to end, after connections_stop. */
static inline void join_workers(struct server *s)
{
    while (s->workers > 0)
        pthread_join(s->threads[--s->workers], NULL);
}

/* The same, and then the server is gone. */
static inline void finish(struct server *s)
{
    join_workers(s);
    connections_destroy(s->set);
    s->set = NULL;
    listener_unlink();
}

static inline void stop(struct server *s)
{
    atomic_store(&s->gate, true);
    connections_stop(s->set);
    finish(s);
}

static inline int dial(const struct server *s)
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

static inline int must_dial(const struct server *s)
{
    int fd = dial(s);
    assert_true(fd >= 0);
    return fd;
}

static inline void assert_out(const struct response *r, const char *text)
{
    assert_true(r->ended);
    assert_int_equal(r->status, RECORD_REQUEST_COMPLETE);
    assert_int_equal(r->out.len, strlen(text));
    if (r->out.len > 0)
        assert_memory_equal(r->out.data, text, r->out.len);
}

/* One request and its response on `fd`. */
static inline void ask(int fd, bool keep, const char *name, struct response *r)
{
    send_request(fd, keep, name);
    read_response(fd, r);
}

static inline void assert_closed(int fd)
{
    char byte;
    assert_false(receive(fd, &byte, 1));
}

/* -- More of the client -- */

struct pour {
    int fd;
    const struct message *b;
};

static inline void *pour(void *arg)
{
    struct pour *p = arg;
    send_all(p->fd, p->b->data, p->b->len);
    return NULL;
}

/* Sends while reading, as a web server does. */
static inline void exchange(int fd, const struct message *b, struct response *r)
{
    pthread_t thread;
    struct pour p = {fd, b};
    assert_int_equal(pthread_create(&thread, NULL, pour, &p), 0);
    read_response(fd, r);
    pthread_join(thread, NULL);
}

static inline bool is_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, 0) == 1 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* -- A program of tests -- */

static const char *program;

/* Runs this program again with the argument `what`: for a test that changes the process
 * for good. */
static inline void run_myself(const char *what)
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

static inline int prepare(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < BIG; i++)
        big_body[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < LARGE; i++)
        large_body[i] = (uint8_t)(i * 31 + i / 65528);
    return 0;
}

/* -- One test -- */

/* What a test finds in its state: a server that it may configure before it starts it, and
 * what one client needs. The end of the test stops and frees all of it. */
struct scene {
    struct server s;
    struct response r; /* the last one that was read */
    struct message b;  /* what the client sends */
    int fd;            /* the client's connection from begin; -1: none */
    bool tcp;
};

static inline int set_up(void **state)
{
    struct scene *t = calloc(1, sizeof *t);
    if (t == NULL)
        return -1;
    default_config(&t->s);
    t->fd = -1;
    *state = t;
    return 0;
}

static char any_port[] = "127.0.0.1:0";

static inline int set_up_tcp(void **state)
{
    if (set_up(state) != 0)
        return -1;
    struct scene *t = *state;
    t->s.config.listen = any_port;
    t->tcp = true;
    return 0;
}

/* Starts the server, and connects to it. */
static inline int begin(struct scene *t)
{
    start(&t->s);
    t->fd = must_dial(&t->s);
    return t->fd;
}

static inline int tear_down(void **state)
{
    struct scene *t = *state;
    if (t->fd >= 0)
        close(t->fd);
    if (t->s.set != NULL)
        stop(&t->s);
    drop(&t->r.out);
    drop(&t->b);
    free(t);
    return 0;
}

/* Over a unix socket; over TCP; both, one after the other. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_TCP(name)                                                                   \
    {                                                                                    \
#name " (TCP)", name, set_up_tcp, tear_down, NULL                                \
    }
#define TEST_BOTH(name) TEST(name), TEST_TCP(name)

#endif
