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

/* Often absent, and known without a search. */
static bool is_absent(const struct request *r, const char *name, size_t len)
{
    if (len == sizeof "REMOTE_USER" - 1 && memcmp(name, "REMOTE_USER", len) == 0)
        return request_param(r, PARAM_REMOTE_USER)[0] == '\0';
    if (len == sizeof "HTTP_USER_AGENT" - 1 && memcmp(name, "HTTP_USER_AGENT", len) == 0)
        return request_param(r, PARAM_HTTP_USER_AGENT)[0] == '\0';
    return false;
}

static bool has_name(const struct param *p, const char *name, size_t len)
{
    return p->name_len == len && memcmp(p->name, name, len) == 0;
}

/* A web server sends its parameters in the same order each time, so each thread looks
 * first where it found one of such a name the last time. */
static const char *param(const void *of, const char *name, size_t name_len, size_t *len)
{
    static _Thread_local unsigned char places[256];
    size_t count;
    const struct param *list = request_params(of, &count);
    unsigned char last = (unsigned char)name[name_len - 1];
    unsigned char other = (unsigned char)name[name_len - (name_len > 2 ? 3 : 1)];
    unsigned char *place = &places[(last + 3U * other + 7 * name_len) % sizeof places];
    size_t at = *place;
    if (at >= count || !has_name(&list[at], name, name_len)) {
        if (is_absent(of, name, name_len))
            return NULL;
        for (at = 0; at < count && !has_name(&list[at], name, name_len); at++)
            ;
        if (at == count)
            return NULL;
        *place = at <= UCHAR_MAX ? (unsigned char)at : 0;
    }
    *len = list[at].value_len;
    return list[at].value;
}

static const char *field(const void *of, const char *name, size_t *len)
{
    return request_header(of, name, len);
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
        .status = request_status(e->request),
        .script = e->script == NULL ? "" : e->script,
        .id = request_id(e->request),
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
