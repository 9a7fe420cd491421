/* The access log. The main thread opens it; workers hand over lines. `file` is set by the
 * main thread, once. */
#include "daemon/access.h"

#include "base/batch.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/logfile.h"
#include "http/accessline.h"

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

static void known(const void *of, struct bytes *values)
{
    const struct params *ps = request_all_params(of);
#define VALUE(number, name)                                                              \
    values[ACCESSLOG_##number] =                                                         \
        (struct bytes){ps->values[PARAM_##name], ps->lens[PARAM_##name]}
    VALUE(METHOD, REQUEST_METHOD);
    VALUE(URI, REQUEST_URI);
    VALUE(SCRIPT_NAME, SCRIPT_NAME);
    VALUE(CLIENT, REMOTE_ADDR);
    VALUE(USER, REMOTE_USER);
    VALUE(PROTOCOL, SERVER_PROTOCOL);
    VALUE(REFERER, HTTP_REFERER);
    VALUE(AGENT, HTTP_USER_AGENT);
#undef VALUE
}

static bool has_name(const struct param *p, const struct accesslog_name *name)
{
    return p->name_len == name->len && memcmp(p->name, name->text, name->len) == 0;
}

/* A web server sends its parameters in the same order each time, so each thread looks
 * first where it found the one of that number the last time. */
static struct bytes param(const void *of, const struct accesslog_name *name)
{
    static _Thread_local unsigned char places[ACCESSLOG_NUMBERS];
    const struct params *ps = request_all_params(of);
    size_t at = places[name->number];
    if (at >= ps->count || !has_name(&ps->list[at], name)) {
        at = 0;
        while (at < ps->count && !has_name(&ps->list[at], name))
            at++;
        if (at == ps->count)
            return (struct bytes){NULL, 0};
        places[name->number] = at <= UCHAR_MAX ? (unsigned char)at : 0;
    }
    return (struct bytes){ps->list[at].value, ps->list[at].value_len};
}

static struct bytes field(const void *of, const char *name)
{
    struct bytes v = {NULL, 0};
    v.data = request_header(of, name, &v.len);
    return v.data == NULL ? (struct bytes){NULL, 0} : v;
}

/* Made here if nobody has asked for it yet, which changes nothing but that. */
static struct bytes id(const void *of)
{
    const struct params *ps = request_all_params(of);
    const char *name = request_id((struct request *)of);
    bool given = name == ps->values[PARAM_REQUEST_ID];
    size_t len = given ? ps->lens[PARAM_REQUEST_ID] : REQUEST_ID_LEN;
    return (struct bytes){name, len};
}

/* The second in which the monotonic clock showed `moment`. The two clocks are compared
 * once a second, so that one who sets the time is followed. */
static time_t second_of(int64_t moment)
{
    static const int64_t length = 1000000000;
    static _Thread_local int64_t from; /* where that second begins */
    static _Thread_local time_t second;
    if (moment < from || moment - from >= length || second == 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        int64_t ago = clock_nanoseconds() - moment;
        int64_t at = (int64_t)now.tv_sec * length + now.tv_nsec - ago;
        second = (time_t)(at / length);
        from = moment - at % length;
    }
    return second;
}

/* The memory of the thread's share stays for the next thread. */
static _Thread_local struct batch_share *share;

static void add(const struct buffer *line)
{
    struct batch *batch = logfile_batch(file);
    if (share == NULL)
        share = batch_join(batch);
    batch_add(batch, share, line->data, line->len);
}

void access_note(const struct config *config, const struct access_entry *e,
                 struct buffer *line)
{
    if (!access_is_wanted(config) || opened() == NULL || e->began == 0)
        return;
    struct accessline_entry entry = {
        .of = e->request,
        .known = known,
        .param = param,
        .field = field,
        .id = id,
        .status = request_status(e->request),
        .script = e->script == NULL ? "" : e->script,
        .bytes = request_body_sent(e->request),
        .microseconds = (e->ended - e->began) / 1000,
        .queued = e->queued,
        .at = second_of(e->began),
        .peak = e->peak,
        .process = process,
        .worker = e->worker,
    };
    if (accessline_write(config->access_log_lines, &entry, line))
        add(line);
}

void access_leave(void)
{
    batch_leave(share);
    share = NULL;
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
