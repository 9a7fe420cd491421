/* The accept loop of a worker thread: wait for a request, find its script, run it, send
 * the response, give everything back.
 *
 * A worker owns its struct worker and all it points to; nothing here is shared but the
 * crew (base/crew.h), and what is atomic. */
#include "daemon/worker.h"

#include "base/crew.h"
#include "base/log.h"
#include "lua/directory.h"
#include "lua/limit.h"
#include "lua/script.h"
#include "request.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

struct worker {
    const struct service *service;
    int id;
    struct connection_reader *reader;
    struct config *config; /* a reference */
    unsigned config_generation;
    struct request request;
    struct directory directory;
};

static bool work(int id);

static struct crew crew = CREW("worker", work, LIMIT_STACK_BYTES);
static const struct service *shared; /* immutable once workers run */
static atomic_uint requests;

/* -- Scheduling -- */

/* A worker that is woken must not push the web server off its core. That has more
 * requests to hand out; then the worker finds them one after the other, without sleeping
 * between two: a quarter more per second on two cores. A policy that somebody chose is
 * left alone, and no harm done if it cannot be set: the systemd unit lets nobody, and
 * sets it. */
static void let_the_web_server_finish(void)
{
#ifdef SCHED_BATCH
    struct sched_param param;
    int policy;
    if (pthread_getschedparam(pthread_self(), &policy, &param) == 0 &&
        policy == SCHED_OTHER)
        pthread_setschedparam(pthread_self(), SCHED_BATCH, &param);
#endif
}

/* -- One request -- */

static void log_failure(const struct request *r, int status, const char *message)
{
    if (request_is_gone(r))
        log_debug("the client went away: %s", message);
    else if (status == 403)
        log_warning("%d: %s", status, message);
    else if (status < 500)
        log_info("%d: %s", status, message);
    else
        log_lines(LOG_LEVEL_ERROR, message);
}

static void fail(struct request *r, int status, const char *message)
{
    log_failure(r, status, message);
    bool show = request_config(r)->show_errors && status >= 500;
    request_fail(r, status, show ? message : NULL);
}

/* Such a request says nothing of how the state is. */
static bool is_clients_fault(const struct request *r)
{
    return request_is_gone(r) || request_body_failed(r) || request_body_too_large(r);
}

/* Runs the script; the one that did, to be given back after the response, or NULL. */
static struct script *run(struct worker *w)
{
    struct request *r = &w->request;
    struct script_error error = {0};
    const char *path = request_param(r, PARAM_SCRIPT_FILENAME);
    directory_enter(&w->directory, path);
    struct script *s = pool_checkout(
        w->service->pool, path, request_param(r, PARAM_DOCUMENT_ROOT), w->config, &error);
    struct call call = {
        .request = r,
        .worker = w->id,
        .sessions = w->service->sessions,
        .pool = w->service->pool,
        .visit_scripts = pool_visit,
    };
    bool ok = s != NULL && script_serve(s, &call, &error);
    if (s != NULL && !is_clients_fault(r))
        state_note_outcome(s, !ok);
    if (request_body_too_large(r))
        fail(r, 413, "the body is larger than MaxPostSize");
    else if (!ok)
        fail(r, error.status, error.message == NULL ? "out of memory" : error.message);
    state_error_clear(&error);
    return s;
}

static struct script *respond(struct worker *w)
{
    struct request *r = &w->request;
    const char *why;
    log_set_script(request_param(r, PARAM_SCRIPT_FILENAME));
    int refused = request_refuse(r, &why);
    if (refused == 0)
        return run(w);
    fail(r, refused, why);
    return NULL;
}

static void serve(struct worker *w, struct connection *c)
{
    struct request *r = &w->request;
    struct script *s = NULL;
    watch_begin(w->config->request_timeout);
    if (request_begin(r, c, w->config)) {
        s = respond(w);
        request_finish(r);
    }
    /* What the log names must outlive the request's parameters: finalizers may log. */
    log_set_script(s == NULL ? NULL : state_path(s));
    request_release(r, w->service->connections);
    if (s != NULL) {
        script_collect(s);
        pool_checkin(w->service->pool, s, state_is_usable(s));
    }
    watch_end();
    log_set_script(NULL);
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
}

/* -- The thread -- */

static void refresh_config(struct worker *w)
{
    unsigned generation = config_generation(); /* read first: a later one is seen again */
    if (w->config != NULL && generation == w->config_generation)
        return;
    config_unref(w->config);
    w->config = config_current();
    w->config_generation = generation;
    w->request.defaults_of = NULL;
}

static bool begin(struct worker *w, int id)
{
    w->service = shared;
    w->id = id;
    log_set_worker(id);
    let_the_web_server_finish();
    directory_make_own(&w->directory);
    w->reader = connection_reader_create(w->service->connections);
    return request_init(&w->request) && w->reader != NULL &&
           watch_create(WATCH_WORKER, id);
}

static void end(struct worker *w)
{
    watch_destroy();
    connection_reader_destroy(w->reader);
    request_free(&w->request);
    config_unref(w->config);
    directory_release(&w->directory);
    free(w);
}

/* One that was stuck leaves if another has taken its place. */
static bool may_stay(void)
{
    if (!watch_was_stuck())
        return true;
    bool leaves = crew_came_back(&crew);
    log_warning("came back from where it was stuck%s", leaves ? ", and leaves" : "");
    watch_forgive();
    return !leaves;
}

static bool work(int id)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return false;
    if (!begin(w, id)) {
        int error = errno;
        end(w);
        errno = error;
        return false;
    }
    crew_begun(&crew);
    struct connection *c;
    while (may_stay() &&
           (c = connection_wait(w->service->connections, w->reader)) != NULL) {
        refresh_config(w);
        serve(w, c);
    }
    end(w);
    return true;
}

bool workers_start(const struct service *service, int count)
{
    shared = service;
    return crew_start(&crew, count, count);
}

bool workers_replace(const struct watch_report *report)
{
    bool possible = crew_replace(&crew);
    log_error("worker %d is stuck %s %s; %s", report->id,
              report->reading ? "at the file" : "in a script that no limit reaches,",
              report->name,
              possible ? "another takes its place" : "as all the others are");
    return possible;
}

void workers_mend(void)
{
    crew_mend(&crew);
}

bool workers_wait(int64_t timeout)
{
    return crew_wait(&crew, timeout);
}

unsigned workers_requests(void)
{
    return atomic_load_explicit(&requests, memory_order_relaxed);
}
