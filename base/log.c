/* Log lines. Any thread writes them; opening and reopening are for the main thread only.
 *
 * A line is built on the writer's stack and handed to base/logfile.h, which owns the file
 * and writes it. There are no locks here: `threshold`, `format` and `prefix` are atomic,
 * `worker_id`, `script_path`, `current` and `hurried` belong to their thread, and `file`
 * is set once, by the main thread, before there are others. */
#include "base/log.h"

#include "base/logfile.h"
#include "base/logline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES   LOGFILE_LINE_MAX /* the newline is one of them */
#define SCRIPT_MAX_BYTES 1024             /* what a script's path may take of it */
#define URI_MAX_BYTES    1024             /* what a request's address may take */
#define FIELD_MAX_BYTES  128              /* and each of its other fields */
#define TRACE_MAX_LINES  200              /* what a message and its traceback may take */

#define SYSLOG_PREFIX "syslog:"
#ifdef __FreeBSD__
#define SYSLOG_SOCKET "/var/run/log"
#else
#define SYSLOG_SOCKET "/dev/log"
#endif

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

/* What stands before a line: nothing in a file, a priority in systemd's journal
 * (sd-daemon(3)), priority, name and process in the system's log. */
enum { PREFIX_NONE = -2, PREFIX_JOURNAL = -1 }; /* else a facility of syslog(3) */

static atomic_int threshold = LOG_LEVEL_INFO;
static atomic_int format = LOG_FORMAT_TEXT;
static atomic_int prefix = PREFIX_NONE;
static struct logfile *file;

static _Thread_local int worker_id;
static _Thread_local const char *script_path;
static _Thread_local const struct log_request *current;
static _Thread_local bool hurried;

/* -- Building a line -- */

/* A text that a line is made of: `rest` is what follows its first line. */
struct message {
    enum log_level level;
    bool continues; /* the line before, which has the level */
    const char *text;
    size_t len;
    const char *rest;
};

static void add_prefix(struct logline *line, enum log_level level)
{
    int kind = atomic_load_explicit(&prefix, memory_order_relaxed);
    char text[64];
    int len = 0;
    if (kind == PREFIX_JOURNAL)
        len = snprintf(text, sizeof text, "<%d>", priorities[level]);
    else if (kind != PREFIX_NONE)
        len = snprintf(text, sizeof text, "<%d>luafcgid2[%d]: ", kind | priorities[level],
                       (int)getpid());
    logline_add(line, text, (size_t)len);
}

static void add_number(struct logline *line, const char *before, int number)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%s%d", before, number);
    logline_add(line, text, (size_t)len);
}

/* A field of the request, between `before` and `after`. */
static void add_field(struct logline *line, enum logline_style style, const char *before,
                      const char *value, size_t max, const char *after)
{
    logline_puts(line, before);
    logline_escape(line, style, value, strlen(value), line->len + max);
    logline_puts(line, after);
}

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

/* The end of a line about a request; empty when there is none. */
static void describe_request(struct logline *tail, enum log_level level)
{
    const struct log_request *r = current;
    tail->len = 0;
    if (r == NULL || level > LOG_LEVEL_WARNING)
        return;
    add_field(tail, LOGLINE_QUOTED, ", client: ", or_dash(r->client), FIELD_MAX_BYTES,
              "");
    add_field(tail, LOGLINE_QUOTED, ", request: \"", or_dash(r->method), FIELD_MAX_BYTES,
              " ");
    add_field(tail, LOGLINE_QUOTED, "", or_dash(r->uri), URI_MAX_BYTES, "\"");
    add_field(tail, LOGLINE_QUOTED, ", id: ", r->id(r->of), FIELD_MAX_BYTES, "");
}

static void build_text(struct logline *line, const struct message *m)
{
    struct logline tail = {.len = 0};
    if (atomic_load_explicit(&prefix, memory_order_relaxed) < 0) {
        logline_time(line); /* the system's log has a time of its own */
        logline_puts(line, " ");
    }
    logline_puts(line, m->continues ? "..." : level_names[m->level]);
    if (worker_id > 0)
        add_number(line, " worker ", worker_id);
    if (script_path != NULL) {
        logline_puts(line, " ");
        logline_escape(line, LOGLINE_PLAIN, script_path, strlen(script_path),
                       line->len + SCRIPT_MAX_BYTES);
    }
    logline_puts(line, ": ");
    if (!m->continues)
        describe_request(&tail, m->level);
    logline_escape(line, LOGLINE_PLAIN, m->text, m->len, LINE_MAX_BYTES - 1 - tail.len);
    logline_add(line, tail.text, tail.len);
}

static void add_json_request(struct logline *line)
{
    const struct log_request *r = current;
    if (r == NULL)
        return;
    add_field(line, LOGLINE_JSON, ",\"client\":\"", r->client, FIELD_MAX_BYTES, "\"");
    add_field(line, LOGLINE_JSON, ",\"method\":\"", r->method, FIELD_MAX_BYTES, "\"");
    add_field(line, LOGLINE_JSON, ",\"uri\":\"", r->uri, URI_MAX_BYTES, "\"");
    add_field(line, LOGLINE_JSON, ",\"id\":\"", r->id(r->of), FIELD_MAX_BYTES, "\"");
}

/* A message takes half of the line at most while a traceback needs the other half. */
static void build_json(struct logline *line, const struct message *m)
{
    size_t limit = LINE_MAX_BYTES - 64;
    logline_puts(line, "{\"time\":\"");
    logline_time(line);
    logline_puts(line, "\",\"level\":\"");
    logline_puts(line, level_names[m->level]);
    logline_puts(line, "\"");
    if (worker_id > 0)
        add_number(line, ",\"worker\":", worker_id);
    if (script_path != NULL)
        add_field(line, LOGLINE_JSON, ",\"script\":\"", script_path, SCRIPT_MAX_BYTES,
                  "\"");
    add_json_request(line);
    logline_puts(line, ",\"message\":\"");
    logline_escape(line, LOGLINE_JSON, m->text, m->len,
                   m->rest == NULL ? limit : line->len + (limit - line->len) / 2);
    if (m->rest != NULL)
        add_field(line, LOGLINE_JSON, "\",\"traceback\":\"", m->rest,
                  limit - line->len - 16, "");
    logline_puts(line, "\"}");
}

static void build(struct logline *line, const struct message *m)
{
    line->len = 0;
    add_prefix(line, m->level);
    if (atomic_load_explicit(&format, memory_order_relaxed) == LOG_FORMAT_JSON)
        build_json(line, m);
    else
        build_text(line, m);
    logline_puts(line, "\n");
}

static size_t say_lost(char *text, uint64_t count)
{
    struct logline line;
    char what[128];
    int len =
        snprintf(what, sizeof what,
                 "%" PRIu64 " lines were lost: the log could not be written", count);
    build(&line, &(struct message){
                     .level = LOG_LEVEL_WARNING, .text = what, .len = (size_t)len});
    memcpy(text, line.text, line.len);
    return line.len;
}

/* For programs that never open the log, and before it is opened. */
static void write_unopened(const char *data, size_t len)
{
    if (write(STDERR_FILENO, data, len) < 0)
        return;
}

static void write_message(const struct message *m)
{
    struct logline line;
    build(&line, m);
    if (file != NULL && hurried)
        logfile_enqueue(file, line.text, line.len);
    else if (file != NULL)
        logfile_write(file, line.text, line.len);
    else
        write_unopened(line.text, line.len);
}

static void write_line(enum log_level level, const char *text, size_t len)
{
    write_message(&(struct message){.level = level, .text = text, .len = len});
}

/* -- What every thread calls -- */

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void log_hurry(void)
{
    hurried = true;
}

void log_set_worker(int worker)
{
    worker_id = worker;
}

void log_set_script(const char *script)
{
    script_path = script != NULL && script[0] != '\0' ? script : NULL;
}

void log_set_request(const struct log_request *request)
{
    current = request;
}

/* Without a function that a signal handler may not call. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size - 1);
    memcpy(to, from, len);
    to[len] = '\0';
}

bool log_copy_request(struct log_request_copy *copy)
{
    const struct log_request *r = current;
    if (r == NULL)
        return false;
    copy_text(copy->client, sizeof copy->client, r->client);
    copy_text(copy->method, sizeof copy->method, r->method);
    copy_text(copy->uri, sizeof copy->uri, r->uri);
    copy_text(copy->id, sizeof copy->id, r->id(r->of));
    return true;
}

static const char *id_of_copy(void *of)
{
    const struct log_request_copy *copy = of;
    return copy->id;
}

struct log_request log_request_of(struct log_request_copy *copy)
{
    return (struct log_request){copy->client, copy->method, copy->uri, id_of_copy, copy};
}

static void write_formatted(enum log_level level, const char *text, va_list args)
    __attribute__((format(printf, 2, 0)));

/* A text that does not fit the buffer does not fit a line either, and is cut there. */
static void write_formatted(enum log_level level, const char *pattern, va_list args)
{
    char text[LINE_MAX_BYTES + 1];
    int len = vsnprintf(text, sizeof text, pattern, args);
    if (len < 0)
        len = snprintf(text, sizeof text, "(a message that cannot be formatted)");
    size_t used = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    write_line(level, text, used);
}

void log_write(enum log_level level, const char *pattern, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    va_list args;
    va_start(args, pattern);
    write_formatted(level, pattern, args);
    va_end(args);
    errno = saved;
}

void log_text(enum log_level level, const char *text, size_t len)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    write_line(level, text, len);
    errno = saved;
}

/* The next line of a text that is not empty, and where the one after it begins. */
static size_t take_line(const char **text)
{
    size_t len = strcspn(*text, "\n"), skip = len + ((*text)[len] == '\n');
    if (len > 0 && (*text)[len - 1] == '\r')
        len--;
    *text += skip;
    return len;
}

void log_lines(enum log_level level, const char *text)
{
    if (text == NULL || !log_enabled(level))
        return;
    int saved = errno;
    while (*text != '\0') {
        const char *at = text;
        size_t len = take_line(&text);
        if (len > 0)
            write_line(level, at, len);
    }
    errno = saved;
}

/* Where the traceback behind a message begins; NULL: there is none. */
static const char *find_traceback(const char *text)
{
    static const char head[] = "\nstack traceback:\n";
    const char *found = NULL;
    for (const char *at = text; (at = strstr(at, head)) != NULL; at++)
        found = at + 1;
    return found;
}

/* As JSON all is one line: the message with all of its own lines, and the traceback. */
static void write_whole(enum log_level level, const char *text)
{
    const char *rest = find_traceback(text);
    size_t len = rest == NULL ? strlen(text) : (size_t)(rest - 1 - text);
    write_message(
        &(struct message){.level = level, .text = text, .len = len, .rest = rest});
}

/* A script can make an error of a million lines. */
static void write_lines(enum log_level level, const char *text)
{
    struct message m = {.level = level, .text = text};
    m.len = take_line(&text);
    write_message(&m);
    m.continues = true;
    for (int i = 0; *text != '\0'; i++) {
        bool cut = i == TRACE_MAX_LINES;
        m.text = cut ? "...[cut]" : text;
        m.len = cut ? strlen(m.text) : take_line(&text);
        if (m.len > 0)
            write_message(&m);
        if (cut)
            break;
    }
}

void log_trace(enum log_level level, const char *text)
{
    if (text == NULL || !log_enabled(level))
        return;
    int saved = errno;
    if (atomic_load_explicit(&format, memory_order_relaxed) == LOG_FORMAT_JSON)
        write_whole(level, text);
    else
        write_lines(level, text);
    errno = saved;
}

/* -- Opening: main thread only -- */

/* Said whatever LogLevel is: whoever looks for the log must learn where it went. */
__attribute__((format(printf, 1, 2))) static void say(const char *pattern, ...)
{
    va_list args;
    va_start(args, pattern);
    write_formatted(LOG_LEVEL_WARNING, pattern, args);
    va_end(args);
}

bool log_start(void)
{
    return file != NULL && logfile_start(file);
}

void log_flush(int64_t timeout)
{
    if (file != NULL)
        logfile_flush(file, timeout);
}

uint64_t log_lost(void)
{
    int error;
    return file != NULL ? logfile_lost(file, &error) : 0;
}

/* The facilities of syslog(3) that are for programs such as this one. */
static const struct {
    const char *name;
    int number;
} facilities[] = {
    {"daemon", LOG_DAEMON}, {"user", LOG_USER},     {"local0", LOG_LOCAL0},
    {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},
    {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},
    {"local7", LOG_LOCAL7},
};

/* The facility that `path` names; -1: none of that name; PREFIX_NONE: it is a file. */
static int facility_of(const char *path)
{
    size_t len = strlen(SYSLOG_PREFIX);
    if (strncmp(path, SYSLOG_PREFIX, len) != 0)
        return PREFIX_NONE;
    for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++)
        if (strcmp(path + len, facilities[i].name) == 0)
            return facilities[i].number;
    return -1;
}

bool log_is_syslog(const char *path, bool *known)
{
    int facility = facility_of(path);
    *known = facility >= 0;
    return facility != PREFIX_NONE;
}

/* Whether standard error is a connection to systemd's journal, which says so in the
 * environment (systemd.exec(5)). */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && device == (unsigned long long)st.st_dev &&
           inode == (unsigned long long)st.st_ino;
}

void log_set_format(enum log_format new_format)
{
    atomic_store_explicit(&format, (int)new_format, memory_order_relaxed);
}

bool log_open(const char *path, enum log_level level)
{
    int saved = errno;
    if (file == NULL && (file = logfile_create(say_lost)) == NULL)
        return false; /* lines go to standard error */
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
    int facility = path != NULL ? facility_of(path) : PREFIX_NONE;
    const char *name = path == NULL ? "" : facility >= 0 ? SYSLOG_SOCKET : path;
    bool done = logfile_open(file, name);
    int kind = done && facility >= 0 ? facility : PREFIX_NONE;
    if ((!done || name[0] == '\0') && is_journal())
        kind = PREFIX_JOURNAL;
    atomic_store_explicit(&prefix, kind, memory_order_relaxed);
    if (!done)
        say("the log file %s cannot be opened (%s): logging to standard error", path,
            strerror(errno));
    errno = saved;
    return done;
}

bool log_reopen(void)
{
    int saved = errno;
    bool done = file == NULL || logfile_reopen(file);
    if (!done)
        say("the log file %s cannot be reopened (%s): logging %s", logfile_path(file),
            strerror(errno),
            logfile_has_file(file) ? "goes on where it was" : "to standard error");
    errno = saved;
    return done;
}

bool log_is_removed(void)
{
    return file != NULL && logfile_is_removed(file);
}

void log_chown(unsigned uid, unsigned gid)
{
    if (file != NULL && !logfile_chown(file, uid, gid))
        log_warning("the log file %s cannot be given to uid %u: %s", logfile_path(file),
                    uid, strerror(errno));
}
