/* The slow log. The main thread opens it. The heartbeat collects what slow scripts have
 * noted of themselves (base/watch.h) and hands it over, to a queue that a thread of the
 * file's own writes. `file` is set by the main thread, once. */
#include "daemon/slowlog.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/logfile.h"
#include "base/logline.h"
#include "base/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

static struct logfile *_Atomic file;
static bool started;          /* the main thread's */
static atomic_bool in_a_file; /* else in the log */
static atomic_uint entries;

/* -- The file: main thread only -- */

static void start_thread(void)
{
    if (!logfile_start(file))
        log_warning("the slow log has no thread of its own: %s", strerror(errno));
}

void slowlog_open(const struct config *config)
{
    const char *path = config->slow_log_path;
    atomic_store(&in_a_file, false);
    if (path[0] == '\0' && file == NULL)
        return;
    if (file == NULL) {
        atomic_store(&file, logfile_create_batched());
        if (file != NULL && started)
            start_thread();
    }
    bool done = file != NULL && logfile_open(file, path);
    if (!done)
        log_warning("SlowLogPath: %s cannot be opened (%s): its entries go to the log",
                    path, strerror(errno));
    atomic_store(&in_a_file, done && path[0] != '\0');
}

void slowlog_reopen(void)
{
    if (file == NULL || logfile_path(file)[0] == '\0')
        return;
    if (!logfile_reopen(file))
        log_warning("SlowLogPath: %s cannot be reopened (%s): its entries go %s",
                    logfile_path(file), strerror(errno),
                    logfile_has_file(file) ? "where they went" : "to the log");
    atomic_store(&in_a_file, logfile_has_file(file));
}

void slowlog_chown(unsigned uid, unsigned gid)
{
    if (file != NULL && !logfile_chown(file, uid, gid))
        log_warning("SlowLogPath: %s cannot be given to uid %u: %s", logfile_path(file),
                    uid, strerror(errno));
}

void slowlog_start(void)
{
    started = true;
    if (file != NULL)
        start_thread();
}

void slowlog_flush(int64_t timeout)
{
    if (file != NULL)
        logfile_flush(file, timeout);
}

/* -- Entries -- */

static void describe_state(struct buffer *out, const struct watch_note *n)
{
    buffer_printf(out, "slow: has run for %u.%03u s (SlowLogTime)%s, memory %zu KiB",
                  n->ran / 1000, n->ran % 1000,
                  n->in_c ? ", and is in a function written in C, called here" : "",
                  n->used / 1024);
    if (n->max > 0)
        buffer_printf(out, " of %zu", n->max / 1024);
    if (n->left >= 0)
        buffer_printf(out, ", %" PRId64 ".%03d s left", n->left / 1000,
                      (int)(n->left % 1000));
    buffer_puts(out, "\nstack traceback:");
    buffer_append(out, n->trace, n->len);
}

/* An entry in the file: when and which script; the request; what the log would say; an
 * empty line. */
static void write_entry(const struct watch_note *n, const char *text)
{
    struct logline line = {.len = 0};
    char worker[32];
    logline_time(&line);
    snprintf(worker, sizeof worker, " worker %d ", n->id);
    logline_puts(&line, worker);
    logline_escape(&line, LOGLINE_PLAIN, n->name, strlen(n->name), line.len + 1024);
    if (n->serving) {
        const char *const parts[][2] = {{"\nclient: ", n->request.client},
                                        {", request: \"", n->request.method},
                                        {" ", n->request.uri},
                                        {"\", id: ", n->request.id}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            logline_puts(&line, parts[i][0]);
            logline_escape(&line, LOGLINE_QUOTED, parts[i][1], strlen(parts[i][1]),
                           line.len + 1024);
        }
    }
    while (*text != '\0' && line.len < sizeof line.text - 64) {
        size_t len = strcspn(text, "\n"), tab = *text == '\t';
        logline_puts(&line, tab ? "\n\t" : "\n");
        logline_escape(&line, LOGLINE_PLAIN, text + tab, len - tab,
                       sizeof line.text - 32);
        text += len + (text[len] == '\n');
    }
    logline_puts(&line, "\n\n");
    logfile_write(file, line.text, line.len);
}

static void write_to_log(const struct watch_note *n, const char *text)
{
    struct log_request_copy copy = n->request;
    struct log_request request = log_request_of(&copy);
    log_set_worker(n->id);
    log_set_script(n->name);
    log_set_request(n->serving ? &request : NULL);
    log_trace(LOG_LEVEL_WARNING, text);
    log_set_request(NULL);
    log_set_script(NULL);
    log_set_worker(0);
}

static void write_note(const struct watch_note *n)
{
    struct buffer text = {0};
    atomic_fetch_add(&entries, 1);
    describe_state(&text, n);
    if (buffer_append(&text, "", 1)) {
        if (atomic_load(&in_a_file))
            write_entry(n, text.data);
        else
            write_to_log(n, text.data);
    }
    buffer_free(&text);
}

void slowlog_tick(void)
{
    watch_collect(write_note);
}

unsigned slowlog_count(void)
{
    return atomic_load(&entries);
}

bool slowlog_is_removed(void)
{
    struct logfile *f = atomic_load(&file);
    return f != NULL && logfile_is_removed(f);
}

uint64_t slowlog_lost(int *error)
{
    struct logfile *f = atomic_load(&file);
    *error = 0;
    return f == NULL ? 0 : logfile_lost(f, error);
}
