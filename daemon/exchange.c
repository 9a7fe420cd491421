/* An exchange: one request on its way.
 *
 * Runs in the thread that owns the exchange, a worker's; no lock, and nothing shared but
 * what the service is. It owns its request, a reference to the configuration that the
 * request is served under, and, between exchange_open and exchange_finish, the
 * connection; between exchange_run and exchange_check_in, the script's state.
 *
 * The reference to the configuration stays while the exchange is kept for the next
 * request, and is renewed only when another configuration was published: so a request
 * touches no count that all threads share. */
#include "daemon/exchange.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/watch.h"
#include "daemon/access.h"
#include "daemon/activity.h"
#include "daemon/counters.h"
#include "daemon/errorpage.h"
#include "daemon/status.h"
#include "fastcgi/fcgi.h"
#include "fastcgi/stream.h"
#include "fastcgi/waiter.h"
#include "request.h"
#include "request/peer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MAX    2    /* by a worker; each may hold the memory of a large response */
#define QUICK_BYTES 4096 /* of a body: with its head it fits any socket's buffer */

struct exchange {
    const struct service *service;
    struct config *config; /* a reference */
    unsigned config_generation;
    struct connection *connection; /* NULL: released */
    struct fcgi *fcgi;             /* libfcgi's part of the request */
    struct request *request;
    int refusal;          /* HTTP status without any script; 0: none */
    const char *why;      /* of the refusal; a literal */
    enum status_page own; /* what the daemon itself answers */
    bool watched;         /* the times of requests are measured */
    bool noted;           /* the answer is counted */
    int64_t begun, ended; /* of clock_nanoseconds: when a worker took it, and when its
                             answer was there; 0: not measured, not yet */
    int64_t queued;       /* ns that it waited for a worker */
    size_t memory;        /* bytes of the state after it; 0: unknown */
    struct call call;
    struct waker *waker;   /* of a service without connections; NULL until it is needed */
    struct waiter *waiter; /* NULL until the script first waits */
    struct script *script; /* checked out, or NULL */
    const char *page; /* script that answers an error; the configuration's; or NULL */
    struct call_failure failure; /* that error, `message` malloc'ed, once the page runs */
    const char *name; /* of the script; memory of the request or of the state */
    struct access_entry access;
    struct buffer line;             /* of the access log */
    int64_t time_left;              /* ms, while it is laid down; 0: for ever */
    int64_t slow_left;              /* ms until it is slow; < 0: never, or it was */
    struct exchange_worker *worker; /* NULL: laid down */
    struct exchange *next;          /* of those that are kept */
};

/* What the daemon itself answers is not counted: figures are about scripts. */
static void count(struct exchange *x, enum counter which, size_t n)
{
    if (x->own == STATUS_NOTHING)
        counters_add(x->worker->counters, which, n);
}

/* -- The connection, as the request's peer -- */

static bool read_params(void *context, char **pairs, size_t *len)
{
    struct exchange *x = context;
    return stream_begin(x->connection, x->fcgi, pairs, len);
}

static enum io_status read_body(void *context, void *data, size_t size, size_t *got,
                                int64_t timeout)
{
    struct exchange *x = context;
    enum io_status status = stream_read(x->connection, data, size, got, timeout);
    if (status == IO_OK)
        count(x, COUNTER_RECEIVED, *got);
    return status;
}

static enum io_status write_response(void *context, const struct iovec *parts,
                                     int parts_count, int64_t timeout)
{
    struct exchange *x = context;
    size_t sum = 0;
    for (int i = 0; i < parts_count; i++)
        sum += parts[i].iov_len;
    enum io_status status =
        stream_write(x->connection, parts, parts_count, false, timeout);
    if (status == IO_OK)
        count(x, COUNTER_SENT, sum);
    return status;
}

static enum io_status end_response(void *context, struct iovec head, struct buffer *body,
                                   int64_t timeout)
{
    struct exchange *x = context;
    size_t sum = head.iov_len + body->len; /* which may be empty afterwards */
    enum io_status status = stream_end(x->connection, head, body, timeout);
    if (status == IO_OK)
        count(x, COUNTER_SENT, sum);
    return status;
}

static enum io_status push_response(void *context, struct iovec head, struct buffer *body,
                                    int64_t timeout)
{
    struct exchange *x = context;
    return stream_push(x->connection, head, body, timeout);
}

static enum io_status settle_response(void *context, int64_t timeout)
{
    struct exchange *x = context;
    return stream_settle(x->connection, timeout);
}

static void give_response_up(void *context)
{
    struct exchange *x = context;
    stream_give_up(x->connection);
}

static enum io_status report(void *context, const char *message, size_t len)
{
    struct exchange *x = context;
    return stream_report(x->connection, message, len);
}

static const struct peer_operations connection = {
    .begin = read_params,
    .read = read_body,
    .write = write_response,
    .report = report,
    .end = end_response,
    .push = push_response,
    .settle = settle_response,
    .give_up = give_response_up,
};

/* The parameters are libfcgi's memory, and stay. */
static void release_connection(struct exchange *x)
{
    connection_release(x->service->connections, x->connection,
                       !request_is_cut(x->request));
    x->connection = NULL;
}

/* -- What the script's functions need of it -- */

static bool is_stopping(const struct exchange *x)
{
    return x->service->connections != NULL &&
           connections_are_stopping(x->service->connections);
}

/* A request that is over has no client any more. */
static enum call_fate fate(void *owner)
{
    struct exchange *x = owner;
    if (x->connection != NULL &&
        (request_is_gone(x->request) || connection_is_gone(x->connection))) {
        request_set_gone(x->request);
        return CALL_IS_GONE;
    }
    return is_stopping(x) ? CALL_IS_STOPPED : CALL_GOES_ON;
}

static struct waiter *waiter(struct exchange *x)
{
    if (x->waiter == NULL)
        x->waiter = waiter_create(x->service->connections, x);
    return x->waiter;
}

/* Without connections: the thread waits itself. */
static struct waker *waker_alone(void *owner)
{
    struct exchange *x = owner;
    if (x->waker == NULL)
        x->waker = waker_create();
    return x->waker;
}

static struct waker *waker(void *owner)
{
    struct waiter *w = waiter(owner);
    return w == NULL ? NULL : waiter_waker(w);
}

static bool may_wait(void *owner)
{
    struct exchange *x = owner;
    struct waiter *w = waiter(x);
    bool ok = w != NULL && waiter_claim(w, x->config->max_waiting);
    if (!ok)
        count(x, COUNTER_REFUSED, 1);
    return ok;
}

/* Before its last bytes go out: whoever has them finds the request counted. */
static void note_answer(struct exchange *x)
{
    char class = request_status(x->request)[0];
    if (x->own != STATUS_NOTHING || x->noted)
        return;
    x->noted = true;
    if (class >= '2' && class <= '5')
        count(x, COUNTER_2XX + (unsigned)(class - '2'), 1);
    if (x->begun == 0)
        return;
    struct counters *c = x->worker->counters;
    x->ended = clock_nanoseconds();
    counters_time(c, HISTOGRAM_ANSWER, x->ended - x->begun);
    counters_time(c, HISTOGRAM_QUEUE, x->queued);
}

/* The script may go on for long, so another worker looks for the next request. */
static void finish(void *owner)
{
    struct exchange *x = owner;
    note_answer(x);
    request_finish(x->request);
    if (x->connection != NULL)
        release_connection(x);
    if (x->worker != NULL && x->worker->reader != NULL)
        connection_pass_on(x->worker->reader);
}

static const struct call_operations operations = {
    .fate = fate,
    .may_wait = may_wait,
    .waker = waker,
    .finish = finish,
};

/* Of a service without connections. */
static const struct call_operations operations_alone = {
    .fate = fate,
    .waker = waker_alone,
    .finish = finish,
};

/* -- Life -- */

/* What a request before this one left of ErrorPage. */
static void forget_failure(struct exchange *x)
{
    free(x->failure.message);
    x->failure = (struct call_failure){0};
    x->call.failure = NULL;
    x->page = NULL;
}

static void destroy(struct exchange *x)
{
    forget_failure(x);
    request_destroy(x->request);
    waker_unref(x->waker);
    buffer_free(&x->line);
    waiter_destroy(x->waiter);
    fcgi_destroy(x->fcgi);
    config_unref(x->config);
    free(x);
}

static struct exchange *create(const struct service *service)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    x->request = request_create();
    x->fcgi = fcgi_create();
    if (x->request == NULL || x->fcgi == NULL) {
        destroy(x);
        return NULL;
    }
    x->service = service;
    x->call.request = x->request;
    x->call.sessions = service->sessions;
    x->call.pool = service->pool;
    x->call.visit_scripts = pool_visit;
    x->call.operations = service->connections == NULL ? &operations_alone : &operations;
    x->call.owner = x;
    return x;
}

static void keep(struct exchanges *kept, struct exchange *x)
{
    x->next = kept->first;
    kept->first = x;
    kept->count++;
}

static struct exchange *take_kept(struct exchanges *kept)
{
    struct exchange *x = kept->first;
    if (x == NULL)
        return create(kept->service);
    kept->first = x->next;
    kept->count--;
    return x;
}

bool exchanges_open(struct exchanges *kept, const struct service *service)
{
    kept->service = service;
    struct exchange *x = create(service);
    if (x != NULL)
        keep(kept, x);
    return x != NULL;
}

void exchanges_close(struct exchanges *kept)
{
    while (kept->count > 0)
        destroy(take_kept(kept));
}

static void refresh_config(struct exchange *x)
{
    unsigned generation = config_generation(); /* read first: a later one is seen again */
    if (x->config != NULL && generation == x->config_generation)
        return;
    config_unref(x->config);
    x->config = config_current();
    x->config_generation = generation;
    x->watched = config_wants_status(x->config);
}

static void note_begin(struct exchange *x, int64_t enqueued)
{
    bool timed = x->watched || access_is_wanted(x->config);
    x->begun = timed ? clock_nanoseconds() : 0;
    x->queued = x->begun > 0 && enqueued > 0 ? x->begun - enqueued : 0;
    x->ended = 0;
    x->noted = false;
    x->memory = 0;
}

/* `enqueued` is when the request came; 0: unknown. false: it cannot be answered. */
static bool begin(struct exchange *x, const struct peer_operations *peer, void *context,
                  int64_t enqueued)
{
    struct request *r = x->request;
    refresh_config(x);
    note_begin(x, enqueued);
    if (!request_begin(r, peer, context, x->config)) {
        fcgi_release(x->fcgi);
        return false;
    }
    x->own = x->service->is_status ? STATUS_FIGURES : status_asked_for(r);
    x->refusal = x->own != STATUS_NOTHING ? 0 : request_refuse(r, &x->why);
    x->name = request_param(r, PARAM_SCRIPT_FILENAME);
    x->time_left = x->config->request_timeout;
    x->slow_left = x->config->slow_log_time > 0 ? x->config->slow_log_time : -1;
    if (x->page != NULL)
        forget_failure(x);
    x->call.session = (struct session_call){0};
    x->call.event_sent = x->call.comment_sent = 0;
    x->call.told = 0;
    x->call.waits = false;
    return true;
}

struct exchange *exchange_open(struct exchanges *kept, struct connection *c)
{
    struct exchange *x = take_kept(kept);
    if (x == NULL) {
        log_error("a request is not served: out of memory");
        connection_release(kept->service->connections, c, false);
        return NULL;
    }
    x->connection = c;
    if (begin(x, &connection, x, connection_take_enqueued(c)))
        return x;
    release_connection(x);
    exchange_close(x, kept);
    return NULL;
}

struct exchange *exchange_open_peer(struct exchanges *kept,
                                    const struct peer_operations *peer, void *context)
{
    struct exchange *x = take_kept(kept);
    if (x == NULL)
        return NULL;
    if (begin(x, peer, context, 0))
        return x;
    exchange_close(x, kept);
    return NULL;
}

void exchange_close(struct exchange *x, struct exchanges *kept)
{
    if (kept->count < KEPT_MAX)
        keep(kept, x);
    else
        destroy(x);
}

/* -- The thread that runs it -- */

/* What the log names must live as long as it does. */
static void set_name(struct exchange *x, const char *name)
{
    x->name = name;
    log_set_script(name);
}

static struct bytes text(const struct exchange *x, enum param_name name)
{
    const struct params *ps = request_all_params(x->request);
    return (struct bytes){ps->values[name], ps->lens[name]};
}

static void show_activity(struct exchange *x)
{
    int64_t length = request_body_left(x->request);
    activity_begin(x->worker->activity,
                   &(struct activity_request){.method = text(x, PARAM_REQUEST_METHOD),
                                              .uri = text(x, PARAM_REQUEST_URI),
                                              .user = text(x, PARAM_REMOTE_USER),
                                              .script = text(x, PARAM_SCRIPT_FILENAME),
                                              .content_length = length > 0 ? length : 0,
                                              .begun = x->begun});
}

void exchange_take_up(struct exchange *x, struct exchange_worker *w)
{
    x->worker = w;
    x->call.worker = w->id;
    if (x->connection != NULL)
        connection_take_up(x->connection, w->reader);
    log_set_script(x->name);
    log_set_request(request_for_log(x->request));
    watch_begin(x->time_left);
    watch_set_slow(x->config->slow_log_time, x->slow_left);
    if (x->begun > 0 && x->own == STATUS_NOTHING)
        show_activity(x);
    if (x->refusal == 0 && x->own == STATUS_NOTHING)
        directory_enter(&w->directory, x->name);
}

/* The time is noted only when it is needed: a look at the clock costs as much as all the
 * rest. 0 would be no limit at all. */
void exchange_lay_down(struct exchange *x)
{
    if (x->script != NULL || x->connection != NULL) {
        int64_t left = watch_time_left();
        x->time_left = left < 0 ? 0 : left == 0 ? 1 : left;
        x->slow_left = watch_slow_left();
    }
    if (x->begun > 0 && x->own == STATUS_NOTHING)
        activity_end(x->worker->activity, x->ended, x->memory);
    if (x->connection != NULL)
        connection_lay_down(x->connection);
    watch_end();
    log_set_script(NULL);
    log_set_request(NULL);
    x->worker = NULL;
}

/* -- Serving -- */

/* true: it is an error of the script or the daemon. */
static bool log_failure(const struct exchange *x, int status, const char *message)
{
    bool silent = request_is_gone(x->request) || x->call.told > 0;
    if (request_is_gone(x->request))
        log_debug("the client went away: %s", message);
    else if (x->call.told > 0)
        log_debug("the daemon stops: %s", message);
    else if (status == 503)
        log_debug("%d: %s", status, message);
    else if (status == 403)
        log_warning("%d: %s", status, message);
    else if (status < 500)
        log_info("%d: %s", status, message);
    else
        log_trace(LOG_LEVEL_ERROR, message);
    return !silent && status >= 500;
}

static void note_error(struct exchange *x, int status, const char *message)
{
    count(x, COUNTER_ERRORS, 1);
    if (x->script != NULL)
        pool_note_error(x->service->pool, x->script, message);
    if (x->watched)
        status_note_error(x->request, status, message);
}

/* The message without the traceback, and by what to find that in the log. */
static void tell_web_server(struct exchange *x, const char *message)
{
    struct buffer text = {0};
    if (x->connection == NULL || request_is_gone(x->request) || x->call.told > 0)
        return;
    if (buffer_append(&text, message, strcspn(message, "\r\n")) &&
        buffer_printf(&text, ", id: %s", request_id(x->request)))
        request_report(x->request, text.data, text.len);
    buffer_free(&text);
}

/* Leaves the answer to the script that ErrorPage names, if there is one and it has not
 * failed itself. */
static void leave_to_page(struct exchange *x, const struct script_error *error)
{
    const char *page = errorpage_script(x->request, error->status);
    if (page == NULL || x->page != NULL || request_is_gone(x->request) ||
        x->call.told > 0)
        return;
    x->page = page;
    x->failure.status = error->status;
    x->failure.message = strdup(error->message == NULL ? "" : error->message);
}

static void fail_by(struct exchange *x, const struct script_error *error)
{
    const char *message = error->message == NULL ? "out of memory" : error->message;
    if (log_failure(x, error->status, message))
        note_error(x, error->status, message);
    if (x->config->log_to_web_server && error->status >= 500)
        tell_web_server(x, message);
    errorpage_make(x->request, error);
    leave_to_page(x, error);
}

/* `message` is not changed. */
static void fail(struct exchange *x, int status, const char *message)
{
    fail_by(x, &(struct script_error){.status = status,
                                      .message = (char *)(uintptr_t)message});
}

/* What fails by the client's fault, or for lack of room, does not count against the
 * state. */
static bool is_no_fault(const struct request *r, const struct script_error *error)
{
    return request_is_gone(r) || request_body_failed(r) || request_body_too_large(r) ||
           (error->status >= 400 && error->status < 500) || error->status == 503;
}

/* The script was told that it may not wait, and has returned all the same, or was ended
 * as by os.exit. Its response may not be whole. */
static void end_early(struct exchange *x)
{
    if (x->call.told > 1)
        fail(x, 503, "the script waited again");
}

/* false with `error` filled, or without a script. */
static bool check_out(struct exchange *x, struct script_error *error)
{
    const struct request *r = x->request;
    struct script *s =
        pool_checkout(x->service->pool, x->name, request_param(r, PARAM_DOCUMENT_ROOT),
                      x->config, error);
    x->script = s;
    if (s == NULL)
        return false;
    set_name(x, state_path(s)); /* finalizers may log after the request is gone */
    return true;
}

static bool run_script(struct exchange *x, struct script_error *error)
{
    bool ok;
    if (x->call.waits) {
        state_awaited(x->script)->came = waiter_end(x->waiter);
        ok = script_go_on(x->script, &x->call, error);
    } else {
        ok = check_out(x, error) && script_serve(x->script, &x->call, error);
    }
    if (x->script != NULL && !x->call.waits && !is_no_fault(x->request, error))
        state_note_outcome(x->script, !ok);
    return ok;
}

/* Runs the script that was asked for, or refuses it. false: it waits. */
static bool run_asked(struct exchange *x)
{
    if (x->refusal != 0) {
        fail(x, x->refusal, x->why);
        return true;
    }
    struct script_error error = {0};
    bool ok = run_script(x, &error);
    if (x->call.waits)
        return false;
    if (x->waiter != NULL)
        waiter_drop(x->waiter);
    if (request_body_too_large(x->request))
        fail(x, 413, request_too_large_text(x->request));
    else if (ok)
        end_early(x);
    else
        fail_by(x, &error);
    state_error_clear(&error);
    return true;
}

/* -- The script of ErrorPage -- */

/* It takes the place of the one that failed, and has time of its own: that of the other
 * may be over. */
static void begin_page(struct exchange *x)
{
    exchange_check_in(x);
    set_name(x, x->page);
    directory_enter(&x->worker->directory, x->name);
    watch_begin(x->config->request_timeout);
    watch_set_slow(x->config->slow_log_time,
                   x->config->slow_log_time > 0 ? x->config->slow_log_time : -1);
    x->call.event_sent = x->call.comment_sent = 0;
    x->call.failure = &x->failure;
    errorpage_clear(x->request, x->failure.status);
}

/* The built-in page takes its place. */
static void give_page_up(struct exchange *x, const struct script_error *error)
{
    struct buffer text = {0};
    const char *why = error->message == NULL ? "it could not be run" : error->message;
    buffer_printf(&text, "ErrorPage[%d]: ", x->failure.status);
    bool whole = buffer_append(&text, why, strlen(why) + 1);
    if (log_failure(x, 500, whole ? text.data : why))
        note_error(x, 500, whole ? text.data : why);
    buffer_free(&text);
    errorpage_make(x->request, &(struct script_error){.status = x->failure.status});
}

/* false: it waits. */
static bool run_page(struct exchange *x)
{
    struct script_error error = {0};
    if (x->call.failure == NULL)
        begin_page(x);
    bool ok = run_script(x, &error);
    if (x->call.waits)
        return false;
    if (x->waiter != NULL)
        waiter_drop(x->waiter);
    if (!ok || x->call.told > 1)
        give_page_up(x, &error);
    state_error_clear(&error);
    return true;
}

bool exchange_run(struct exchange *x)
{
    if (x->own != STATUS_NOTHING) {
        status_answer(x->request, x->own);
        return true;
    }
    if (x->call.failure == NULL && !run_asked(x))
        return false;
    return x->page == NULL || run_page(x);
}

/* While it waits, libfcgi's memory is most of what a request would have. */
void exchange_wait(struct exchange *x)
{
    if (request_rest(x->request))
        fcgi_release(x->fcgi);
    pool_set_aside(x->service->pool, x->script);
    waiter_begin(x->waiter, x->connection, state_awaited(x->script));
}

struct exchange *exchange_ready(struct connection_reader *reader)
{
    struct waiter *w = connection_take_ready(reader);
    return w == NULL ? NULL : waiter_owner(w);
}

/* When the response was out. A small one goes out in one write, which does not block on a
 * connection that has nothing else to send, and whose time is not worth another look at
 * the clock. `noted`: it was counted before, as by Finish. */
static int64_t answered(const struct exchange *x, bool noted)
{
    bool quick = x->ended > 0 && !noted && request_body_sent(x->request) <= QUICK_BYTES;
    return quick ? x->ended : clock_nanoseconds();
}

static void note_access(struct exchange *x, bool noted)
{
    struct access_entry entry = {
        .request = x->request,
        .script = x->name,
        .began = x->begun,
        .ended = answered(x, noted),
        .queued = (uint32_t)(x->queued / 1000000),
        .peak = x->script == NULL ? 0 : script_peak(x->script),
        .worker = x->worker->id,
    };
    access_note(x->config, &entry, &x->line);
}

void exchange_finish(struct exchange *x)
{
    bool noted = x->noted;
    note_answer(x);
    request_finish(x->request);
    if (request_is_gone(x->request))
        count(x, COUNTER_GONE, 1);
    if (access_is_wanted(x->config))
        note_access(x, noted);
    if (x->connection != NULL)
        release_connection(x);
    if (x->script == NULL)
        set_name(x, NULL); /* it is the request's memory */
    log_set_request(NULL);
    fcgi_release(x->fcgi);
}

void exchange_check_in(struct exchange *x)
{
    struct script *s = x->script;
    if (s == NULL)
        return;
    x->script = NULL;
    x->memory = state_memory(s);
    if (x->ended > 0)
        pool_note_time(s, x->ended - x->begun);
    script_collect(s);
    pool_checkin(x->service->pool, s, state_is_usable(s));
}
