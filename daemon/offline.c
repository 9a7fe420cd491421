/* One request without a web server. Runs in the main thread, which serves the request as
 * a worker would; a second thread looks after time limits, as the heartbeat does, and for
 * signals. Nothing of a daemon is there: no connections, sweeper or saver, and sessions
 * are in memory only.
 *
 * A signal ends the process at once, wherever the script is. What would outlive it is
 * removed before: the children of the script, and the uploads, which therefore lie in a
 * directory of this run.
 *
 * All but the watch belongs to the main thread. `stopping` is atomic. `awaited` is set
 * before the second thread starts. */
#include "daemon/offline.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/path.h"
#include "base/process.h"
#include "base/watch.h"
#include "daemon/activity.h"
#include "daemon/counters.h"
#include "daemon/exchange.h"
#include "daemon/rundir.h"
#include "fastcgi/fcgi.h"
#include "lua/limit.h"
#include "pool/closer.h"
#include "request/peer.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LOOK            20   /* milliseconds between two looks at the time limit */
#define CLOSING_TIMEOUT 2000 /* that finalizers of the script have */
#define FAILED          1    /* exit statuses */
#define SERVER_ERROR    5

/* The peer of the request. */
struct terminal {
    struct buffer pairs; /* parameters, as FastCGI has them */
    int input, output;   /* the process's own, moved away from 0 and 1 */
    bool headers;        /* to be printed */
    bool head_seen;
    int status; /* of the response; 0: none yet */
    bool whole; /* the response has come to its end */
    int error;  /* errno of a write that failed, or 0 */
};

/* -- Parameters -- */

static bool add_length(struct buffer *b, size_t len)
{
    unsigned char four[4] = {(unsigned char)(len >> 24 | 0x80),
                             (unsigned char)(len >> 16), (unsigned char)(len >> 8),
                             (unsigned char)len};
    return len < 128 ? buffer_append(b, four + 3, 1) : buffer_append(b, four, 4);
}

static bool add_param(struct buffer *b, const char *name, size_t name_len,
                      const char *value)
{
    size_t len = strlen(value);
    return add_length(b, name_len) && add_length(b, len) &&
           buffer_append(b, name, name_len) && buffer_append(b, value, len);
}

/* What the command line says of a parameter, or NULL. */
static const char *given(const struct offline *what, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *p = what->pairs; *p != NULL; p++)
        if (strncmp(*p, name, len) == 0 && (*p)[len] == '=')
            return *p + len + 1;
    return NULL;
}

static bool add_default(struct buffer *b, const struct offline *what, const char *name,
                        const char *value)
{
    return given(what, name) != NULL || add_param(b, name, strlen(name), value);
}

static const char *method_of(const struct offline *what)
{
    const char *method = given(what, "REQUEST_METHOD");
    if (method != NULL)
        return method;
    return given(what, "CONTENT_TYPE") != NULL || given(what, "CONTENT_LENGTH") != NULL
               ? "POST"
               : "GET";
}

static bool has_uploads(const struct offline *what)
{
    const char *type = given(what, "CONTENT_TYPE");
    return type != NULL && strncasecmp(type, "multipart/", 10) == 0;
}

/* `path` is that of the script, absolute. A POST without a type is that of a form, as
 * with curl -d. */
static bool add_defaults(struct buffer *b, const struct offline *what, char *path)
{
    char *slash = strrchr(path, '/');
    const char *method = method_of(what);
    bool ok = add_default(b, what, "SCRIPT_FILENAME", path) &&
              add_default(b, what, "SCRIPT_NAME", slash) &&
              add_default(b, what, "REQUEST_URI", slash) &&
              add_default(b, what, "REQUEST_METHOD", method) &&
              add_default(b, what, "QUERY_STRING", "") &&
              add_default(b, what, "SERVER_PROTOCOL", "HTTP/1.1") &&
              add_default(b, what, "GATEWAY_INTERFACE", "CGI/1.1") &&
              add_default(b, what, "SERVER_SOFTWARE", "luafcgid2") &&
              add_default(b, what, "SERVER_NAME", "localhost") &&
              add_default(b, what, "SERVER_PORT", "80") &&
              add_default(b, what, "REMOTE_ADDR", "127.0.0.1") &&
              (strcmp(method, "POST") != 0 ||
               add_default(b, what, "CONTENT_TYPE", "application/x-www-form-urlencoded"));
    *slash = '\0';
    return ok && add_default(b, what, "DOCUMENT_ROOT", path[0] == '\0' ? "/" : path);
}

static bool add_params(struct buffer *b, const struct offline *what)
{
    char *path = path_absolute(what->script);
    bool ok = path != NULL && add_defaults(b, what, path);
    free(path);
    for (const char *const *p = what->pairs; ok && *p != NULL; p++) {
        const char *equals = strchr(*p, '=');
        ok = add_param(b, *p, (size_t)(equals - *p), equals + 1);
    }
    return ok && buffer_reserve(b, 1); /* the room that params_parse wants */
}

/* -- The peer's operations -- */

static bool begin(void *context, char **pairs, size_t *len)
{
    struct terminal *t = context;
    *pairs = t->pairs.data;
    *len = t->pairs.len;
    return true;
}

/* A person at a terminal takes any time, and so does a program at a pipe. */
static enum io_status read_input(void *context, void *data, size_t size, size_t *got,
                                 int64_t timeout)
{
    const struct terminal *t = context;
    (void)timeout;
    ssize_t n;
    watch_pause();
    do
        n = read(t->input, data, size);
    while (n < 0 && errno == EINTR);
    watch_resume();
    *got = n > 0 ? (size_t)n : 0;
    return n > 0 ? IO_OK : n == 0 ? IO_END : IO_ABORTED;
}

static bool print(struct terminal *t, const void *data, size_t len)
{
    const char *at = data;
    watch_pause();
    while (len > 0) {
        ssize_t n = write(t->output, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            t->error = n < 0 ? errno : EIO;
            break;
        }
        at += n;
        len -= (size_t)n;
    }
    watch_resume();
    return len == 0;
}

/* The first piece of a response is its head, which begins with the status. */
static bool print_head(struct terminal *t, const struct iovec *head)
{
    static const char name[] = "Status: ";
    t->head_seen = true;
    if (head->iov_len > sizeof name + 2 &&
        memcmp(head->iov_base, name, sizeof name - 1) == 0)
        t->status = atoi((const char *)head->iov_base + sizeof name - 1);
    return !t->headers || print(t, head->iov_base, head->iov_len);
}

static enum io_status write_output(void *context, const struct iovec *parts, int count,
                                   int64_t timeout)
{
    struct terminal *t = context;
    (void)timeout;
    bool ok = true;
    for (int i = 0; i < count && ok; i++)
        if (!t->head_seen && parts[i].iov_len > 0)
            ok = print_head(t, &parts[i]);
        else
            ok = print(t, parts[i].iov_base, parts[i].iov_len);
    return ok ? IO_OK : IO_ABORTED;
}

static enum io_status end_output(void *context, struct iovec head, struct buffer *body,
                                 int64_t timeout)
{
    struct terminal *t = context;
    struct iovec parts[2] = {head, {body->data, body->len}};
    t->whole = true;
    return write_output(t, parts, 2, timeout);
}

static const struct peer_operations operations = {
    .begin = begin,
    .read = read_input,
    .write = write_output,
    .end = end_output,
};

/* -- Signals -- */

static sigset_t awaited; /* signals that end the run */

/* Where there can be no directory, an upload fails in UploadDir itself, with a message.
 */
static void make_uploads(struct config *config)
{
    const char *path = rundir_create(config->upload_dir);
    char *copy = path == NULL ? NULL : strdup(path);
    if (copy == NULL)
        return;
    free(config->upload_dir);
    config->upload_dir = copy;
}

/* Those that are ignored stay so, as under nohup. The main thread blocks them before the
 * other one is made, so both do. */
static void await_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action;
    sigemptyset(&awaited);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction(ends[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&awaited, ends[i]);
    pthread_sigmask(SIG_BLOCK, &awaited, NULL);
}

/* The caller of the process sees which signal it was. */
static void die_of(int number)
{
    process_kill_all();
    rundir_remove();
    log_flush(CLOSING_TIMEOUT);
    signal(number, SIG_DFL);
    raise(number);
    pthread_sigmask(SIG_UNBLOCK, &awaited, NULL);
}

/* -- Time limits -- */

static atomic_bool stopping;

/* Nobody could take the place of the only thread. */
static void on_stuck(const struct watch_report *report)
{
    log_error("the script is stuck where no limit reaches it: %s", report->name);
    process_kill_all();
    rundir_remove();
    log_flush(CLOSING_TIMEOUT);
    _exit(SERVER_ERROR);
}

static void *look_after_time(void *config)
{
    const struct timespec look = {.tv_nsec = LOOK * 1000000};
    while (!atomic_load(&stopping)) {
        int number = sigtimedwait(&awaited, NULL, &look);
        if (number > 0)
            die_of(number);
        watch_check(((struct config *)config)->watchdog, on_stuck);
    }
    return NULL;
}

/* -- All of it -- */

/* Moves standard input and output away, so that the script and its children cannot read
 * the body or write into the response by accident. */
static bool move_descriptors(struct terminal *t)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    t->input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    t->output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return null >= 0 && t->input >= 0 && t->output >= 0 &&
           dup2(null, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
}

/* At a terminal a GET has no body, and nobody should have to end one. */
static void drop_terminal_input(struct terminal *t, const struct offline *what)
{
    if (isatty(t->input) && strcmp(method_of(what), "GET") == 0)
        dup2(STDIN_FILENO, t->input);
}

static void serve_by(struct exchange_worker *w, struct exchanges *kept,
                     struct terminal *t)
{
    directory_make_own(&w->directory);
    struct exchange *x = exchange_open_peer(kept, &operations, t);
    if (x != NULL) {
        exchange_take_up(x, w);
        exchange_run(x);
        exchange_finish(x);
        exchange_check_in(x);
        exchange_lay_down(x);
        exchange_close(x, kept);
    }
    directory_release(&w->directory);
}

static void serve(struct exchanges *kept, struct terminal *t)
{
    struct exchange_worker w = {.id = 1};
    w.counters = counters_create();
    w.activity = activity_create(w.id, w.counters);
    if (w.counters != NULL && w.activity != NULL)
        serve_by(&w, kept, t);
    activity_destroy(w.activity);
    counters_destroy(w.counters);
}

/* What is the daemon's, or the web server's. */
static void leave_out(struct config *config)
{
    config->session_file[0] = '\0';
    config->access_log_path[0] = '\0';
    config->status_path[0] = config->ping_path[0] = '\0';
    config->send_file_header[0] = '\0';
    config->slow_log_time = 0;
}

static bool start(struct service *service, struct config *config, pthread_t *thread)
{
    leave_out(config);
    log_set_format(config->log_format);
    log_open("", config->log_level);
    fcgi_start();
    limit_init();
    service->pool = pool_create();
    service->sessions = store_create(config);
    config_publish(config_ref(config));
    return service->pool != NULL && service->sessions != NULL &&
           watch_create(WATCH_WORKER, 1) && closers_start(1) &&
           pthread_create(thread, NULL, look_after_time, config) == 0;
}

static void stop(struct service *service, pthread_t thread)
{
    atomic_store(&stopping, true);
    pthread_join(thread, NULL);
    watch_destroy();
    rundir_remove();
    pool_close_idle(service->pool);
    if (!closers_stop(CLOSING_TIMEOUT))
        return; /* what still runs uses the rest */
    pool_destroy(service->pool);
    store_destroy(service->sessions);
    config_publish(NULL);
}

static int fail(const char *why)
{
    fprintf(stderr, "luafcgid2: %s\n", why);
    return FAILED;
}

/* That a reader went away, as head(1) does, is no news to who called both. */
static int exit_status(const struct terminal *t)
{
    if (t->error != 0 && t->error != EPIPE)
        return fail(strerror(t->error));
    if (t->error != 0)
        return FAILED;
    if (!t->whole || t->status >= 500)
        return SERVER_ERROR;
    return t->status >= 400 ? 4 : EXIT_SUCCESS;
}

int offline_run(struct config *config, const struct offline *what)
{
    static struct service service;
    struct terminal t = {.headers = what->headers};
    struct exchanges kept = {0};
    pthread_t thread;
    if (!add_params(&t.pairs, what) || !move_descriptors(&t))
        return fail(strerror(errno));
    drop_terminal_input(&t, what);
    signal(SIGPIPE, SIG_IGN);
    await_signals();
    if (has_uploads(what))
        make_uploads(config);
    if (!start(&service, config, &thread) || !exchanges_open(&kept, &service))
        return fail("cannot start: out of memory, threads or descriptors");
    serve(&kept, &t);
    exchanges_close(&kept);
    stop(&service, thread);
    buffer_free(&t.pairs);
    log_flush(CLOSING_TIMEOUT);
    return exit_status(&t);
}
