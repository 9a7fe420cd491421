/* The floor of the benchmark: what FastCGI costs when nothing is done with a request.
 *
 *     floor ANSWER SOCKET THREADS [parked [batch]]
 *
 * Scans the records of a request up to the end of FCGI_STDIN, and answers with one write.
 * No libfcgi, no Lua, no check, no deadline, and no parameter is parsed unless the answer
 * is made of them.
 *
 * With `parked`, connections wait in one epoll set, from which a thread takes one at a
 * time. Under load it finds its next request without having slept, and few threads serve
 * many kept connections. Without it, each thread blocks in accept, then in read, until
 * its peer closes: fewer system calls, but a switch of threads for each request, and a
 * thread for each kept connection. Threads share nothing else.
 *
 * With `batch`, threads are scheduled as luafcgid2's workers are (SCHED_BATCH). */
#include "answer.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BEGIN_REQUEST = 1, END_REQUEST = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };
enum { RECORD_HEAD = 8, RECORD_MAX = 65528, IN_SIZE = 128 * 1024, ENV_SIZE = 64 * 1024 };
enum { HEAD_ROOM = 128 }; /* bytes kept free before a body, for its response head */

static enum answer answer;
static int listener, parked;     /* set before any thread starts */
static char input[COMPUTE_SIZE]; /* filled before any thread starts */

/* One connection; owned by the thread that accepted it or took it out of the set. */
struct peer {
    int fd;
    bool keep;
    unsigned id;
    size_t stdin_len; /* bytes of body seen */
    size_t params_len;
    size_t in_start, in_end;
    char *in, *params;
};

/* A thread's memory for one response. */
struct response {
    unsigned built_for; /* request id of what is in `out`; 0: nothing yet */
    size_t out_len;
    char *out, *text;
};

static size_t put_head(char *out, int type, unsigned id, size_t len)
{
    unsigned char head[RECORD_HEAD] = {1, (unsigned char)type};
    head[2] = (unsigned char)(id >> 8);
    head[3] = (unsigned char)id;
    head[4] = (unsigned char)(len >> 8);
    head[5] = (unsigned char)len;
    memcpy(out, head, sizeof head);
    return sizeof head;
}

/* Turns `text` into the records of a whole response, in r->out. */
static void build(struct response *r, unsigned id, const char *text, size_t len)
{
    char *out = r->out;
    while (len > 0) {
        size_t part = len < RECORD_MAX ? len : RECORD_MAX;
        out += put_head(out, STDOUT, id, part);
        memcpy(out, text, part);
        out += part;
        text += part;
        len -= part;
    }
    out += put_head(out, STDOUT, id, 0);
    out += put_head(out, END_REQUEST, id, 8);
    memset(out, 0, 8);
    out += 8;
    r->out_len = (size_t)(out - r->out);
}

static size_t pair_length(const unsigned char **s, const unsigned char *end)
{
    size_t len = *(*s)++;
    if (len >= 128 && end - *s >= 3) {
        len = (len & 127) << 24 | (size_t)(*s)[0] << 16 | (size_t)(*s)[1] << 8 | (*s)[2];
        *s += 3;
    }
    return len;
}

static char *append(char *out, const void *data, size_t len, char last)
{
    memcpy(out, data, len);
    out[len] = last;
    return out + len + 1;
}

/* "NAME=value" lines of the parameters. */
static size_t env_lines(const struct peer *p, char *out)
{
    const char *start = out;
    const unsigned char *s = (const unsigned char *)p->params, *end = s + p->params_len;
    while (end - s >= 2) {
        size_t name = pair_length(&s, end), value = pair_length(&s, end);
        if ((size_t)(end - s) < name || (size_t)(end - s) - name < value)
            break;
        out = append(out, s, name, '=');
        out = append(out, s + name, value, '\n');
        s += name + value;
    }
    return (size_t)(out - start);
}

/* Writes the answer's body and returns its length. */
static size_t make_body(const struct peer *p, char *body)
{
    switch (answer) {
    case ANSWER_HELLO:
        memcpy(body, "hello world", 11);
        return 11;
    case ANSWER_ENV:
        return env_lines(p, body);
    case ANSWER_COMPUTE:
        base64(input, sizeof input, body);
        return ENCODED_SIZE;
    case ANSWER_BODY:
        memset(body, 'x', BODY_SIZE);
        return BODY_SIZE;
    case ANSWER_POST:
        return (size_t)sprintf(body, "%zu", p->stdin_len);
    }
    return 0;
}

/* Builds the response in r->out. One that never changes is built once. */
static void make_response(const struct peer *p, struct response *r)
{
    bool constant = answer == ANSWER_HELLO || answer == ANSWER_BODY;
    if (constant && r->built_for == p->id)
        return;
    char *body = r->text + HEAD_ROOM, head[HEAD_ROOM];
    size_t len = make_body(p, body);
    int head_len =
        snprintf(head, sizeof head, CONTENT_TYPE "Content-Length: %zu\r\n\r\n", len);
    memcpy(body - head_len, head, (size_t)head_len);
    build(r, p->id, body - head_len, (size_t)head_len + len);
    r->built_for = p->id;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

/* Takes note of one whole record. true: it was the end of the request. */
static bool take_record(struct peer *p, const unsigned char *r, size_t len)
{
    const unsigned char *content = r + RECORD_HEAD;
    switch (r[1]) {
    case BEGIN_REQUEST:
        p->id = (unsigned)r[2] << 8 | r[3];
        p->keep = content[2] & 1;
        p->stdin_len = p->params_len = 0;
        return false;
    case PARAMS:
        if (answer == ANSWER_ENV && p->params_len + len <= ENV_SIZE) {
            memcpy(p->params + p->params_len, content, len);
            p->params_len += len;
        }
        return false;
    case STDIN:
        p->stdin_len += len;
        return len == 0;
    default:
        return false;
    }
}

/* Scans what has arrived. true: a whole request was there and was taken. */
static bool scan(struct peer *p)
{
    while (p->in_end - p->in_start >= RECORD_HEAD) {
        const unsigned char *r = (const unsigned char *)p->in + p->in_start;
        size_t len = (size_t)r[4] << 8 | r[5], whole = RECORD_HEAD + len + r[6];
        if (p->in_end - p->in_start < whole)
            return false;
        p->in_start += whole;
        if (take_record(p, r, len))
            return true;
    }
    return false;
}

/* Reads once. false: the peer closed. */
static bool read_more(struct peer *p)
{
    memmove(p->in, p->in + p->in_start, p->in_end - p->in_start);
    p->in_end -= p->in_start;
    p->in_start = 0;
    ssize_t n = read(p->fd, p->in + p->in_end, IN_SIZE - p->in_end);
    p->in_end += n > 0 ? (size_t)n : 0;
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Reads once, and answers if that completed a request. false: the connection is over. */
static bool advance(struct peer *p, struct response *r)
{
    if (!read_more(p))
        return false;
    if (!scan(p))
        return true;
    make_response(p, r);
    return write_all(p->fd, r->out, r->out_len) && p->keep;
}

static void *memory(size_t size)
{
    void *m = malloc(size);
    if (m == NULL) {
        perror("floor");
        exit(1);
    }
    return m;
}

static struct peer *new_peer(void)
{
    struct peer *p = memory(sizeof *p);
    *p = (struct peer){.in = memory(IN_SIZE), .params = memory(ENV_SIZE)};
    return p;
}

static struct response new_response(void)
{
    size_t size = HEAD_ROOM + BODY_SIZE;
    return (struct response){.out = memory(size + 1024), .text = memory(size)};
}

static void *run_blocking(void *unused)
{
    struct peer *p = new_peer();
    struct response r = new_response();
    for (;;) {
        p->in_start = p->in_end = 0;
        if ((p->fd = accept(listener, NULL, NULL)) >= 0) {
            while (advance(p, &r)) {
            }
            close(p->fd);
        }
    }
    return unused;
}

/* Puts `fd` back into the set, or for the first time; one thread gets its next event. */
static void park(int operation, int fd, struct peer *p)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = p};
    if (epoll_ctl(parked, operation, fd, &event) != 0) {
        perror("floor");
        exit(1);
    }
}

static void accept_and_park(void)
{
    int fd = accept(listener, NULL, NULL);
    park(EPOLL_CTL_MOD, listener, NULL);
    if (fd >= 0) {
        struct peer *p = new_peer();
        p->fd = fd;
        park(EPOLL_CTL_ADD, fd, p);
    }
}

static void *run_parked(void *unused)
{
    struct response r = new_response();
    struct epoll_event event;
    for (;;) {
        if (epoll_wait(parked, &event, 1, -1) < 1)
            continue;
        struct peer *p = event.data.ptr;
        if (p == NULL) {
            accept_and_park();
        } else if (advance(p, &r)) {
            park(EPOLL_CTL_MOD, p->fd, p);
        } else {
            close(p->fd);
            free(p->in);
            free(p->params);
            free(p);
        }
    }
    return unused;
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(fd, 511) != 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: floor ANSWER SOCKET THREADS [parked [batch]]\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    answer = answer_by_name(argv[1]);
    compute_input(input);
    listener = listen_at(argv[2]);
    void *(*run)(void *) = run_blocking;
    if (argc > 4 && strcmp(argv[4], "parked") == 0) {
        run = run_parked;
        parked = epoll_create1(0);
        park(EPOLL_CTL_ADD, listener, NULL);
    }
    if (argc > 5 && strcmp(argv[5], "batch") == 0 &&
        sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}) != 0) {
        perror("floor");
        return 1;
    }
    for (int i = atoi(argv[3]); i > 1; i--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, NULL) != 0) {
            fprintf(stderr, "floor: cannot start a thread\n");
            return 1;
        }
    }
    run(NULL);
}
