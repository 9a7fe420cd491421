/* The access log. The main thread opens it; workers hand over lines. `file` is set by the
 * main thread, once. */
#include "daemon/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/logfile.h"
#include "http/accesslog.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static struct logfile *_Atomic file;
static int process; /* set by access_start, before there are workers; 0: not yet */

/* NULL: there is no access log. */
static struct logfile *opened(void)
{
    return atomic_load(&file);
}

/* -- The file: main thread only -- */

static void start_thread(void)
{
    if (!logfile_start(file))
        log_warning("the access log has no thread of its own: %s", strerror(errno));
}

/* Made when it is first needed, as it has memory and a thread. */
static bool make(void)
{
    if (opened() != NULL)
        return true;
    struct logfile *made = logfile_create_batched();
    atomic_store(&file, made);
    if (made != NULL && process != 0)
        start_thread();
    return made != NULL;
}

void access_open(const struct config *config)
{
    const char *path = config->access_log_path;
    if (opened() == NULL && path[0] == '\0')
        return;
    if (!make())
        errno = ENOMEM;
    if (opened() == NULL || !logfile_open(file, path))
        log_warning("AccessLogPath: %s cannot be opened (%s): its lines are lost", path,
                    strerror(errno));
}

void access_reopen(void)
{
    if (opened() != NULL && !logfile_reopen(file))
        log_warning("AccessLogPath: %s cannot be reopened (%s): its lines %s",
                    logfile_path(file), strerror(errno),
                    logfile_has_file(file) ? "go where they went" : "are lost");
}

void access_chown(unsigned uid, unsigned gid)
{
    if (opened() != NULL && !logfile_chown(file, uid, gid))
        log_warning("AccessLogPath: %s cannot be given to uid %u: %s", logfile_path(file),
                    uid, strerror(errno));
}

void access_start(void)
{
    process = (int)getpid();
    if (opened() != NULL)
        start_thread();
}

void access_flush(int64_t timeout)
{
    if (opened() != NULL)
        logfile_flush(file, timeout);
}

/* -- Lines -- */

static const enum param_name known[ACCESSLOG_OTHERS] = {
    [ACCESSLOG_METHOD] = PARAM_REQUEST_METHOD,
    [ACCESSLOG_URI] = PARAM_REQUEST_URI,
    [ACCESSLOG_SCRIPT_NAME] = PARAM_SCRIPT_NAME,
    [ACCESSLOG_CLIENT] = PARAM_REMOTE_ADDR,
    [ACCESSLOG_USER] = PARAM_REMOTE_USER,
    [ACCESSLOG_AGENT] = PARAM_HTTP_USER_AGENT,
};

static bool has_name(const struct param *p, const struct accesslog_name *name)
{
    return p->name_len == name->len && memcmp(p->name, name->text, name->len) == 0;
}

/* The place in the list of the value that is known, or that has the name; `count`: it is
 * not there, as a Referer is often not. */
static size_t search(const struct param *list, size_t count, const char *value,
                     const struct accesslog_name *name)
{
    const struct param *p = list, *end = list + count;
    size_t len = name->len;
    if (value != NULL)
        while (p < end && p->value != value)
            p++;
    else
        while (p < end && (p->name_len != len || !has_name(p, name)))
            p++;
    return (size_t)(p - list);
}

/* A web server sends its parameters in the same order each time, so each thread looks
 * first where it found the one of that number the last time. */
static const char *param(const void *of, const struct accesslog_name *name, size_t *len)
{
    static _Thread_local unsigned char places[ACCESSLOG_NUMBERS];
    const char *value = NULL; /* as it is known */
    if (name->number < ACCESSLOG_OTHERS) {
        value = request_param(of, known[name->number]);
        if (value[0] == '\0')
            return NULL;
    }
    size_t count, at = places[name->number];
    const struct param *list = request_params(of, &count);
    if (at >= count ||
        (value != NULL ? list[at].value != value : !has_name(&list[at], name))) {
        at = search(list, count, value, name);
        if (at == count)
            return NULL;
        places[name->number] = at <= UCHAR_MAX ? (unsigned char)at : 0;
    }
    *len = list[at].value_len;
    return list[at].value;
}

static const char *field(const void *of, const char *name, size_t *len)
{
    return request_header(of, name, len);
}

/* Made here if nobody has asked for it yet, which changes nothing but that. */
static const char *id(const void *of)
{
    return request_id((struct request *)of);
}

/* The second in which the request came, or the one after. */
static time_t wall_clock(void)
{
    struct timespec now;
#ifdef CLOCK_REALTIME_COARSE
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
#else
    clock_gettime(CLOCK_REALTIME, &now);
#endif
    return now.tv_sec;
}

void access_note(const struct config *config, const struct access_entry *e,
                 struct buffer *line)
{
    if (!access_is_wanted(config) || opened() == NULL || e->began == 0)
        return;
    int64_t nanoseconds = clock_nanoseconds() - e->began;
    struct accesslog_entry entry = {
        .of = e->request,
        .param = param,
        .field = field,
        .id = id,
        .status = request_status(e->request),
        .script = e->script == NULL ? "" : e->script,
        .bytes = request_body_sent(e->request),
        .microseconds = nanoseconds / 1000,
        .queued = e->queued,
        .at = wall_clock() - (time_t)(nanoseconds / 1000000000),
        .peak = e->peak,
        .process = process,
        .worker = e->worker,
    };
    if (accesslog_write(config->access_log_lines, &entry, line))
        logfile_write(file, line->data, line->len);
}

/* -- What is lost -- */

bool access_is_removed(void)
{
    return opened() != NULL && logfile_is_removed(opened());
}

uint64_t access_lost(int *error)
{
    *error = 0;
    return opened() == NULL ? 0 : logfile_lost(file, error);
}
