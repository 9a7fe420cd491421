/* Log lines. Any thread writes them; opening and reopening are for the main thread only.
 *
 * A line is built on the writer's stack and handed to base/logfile.h, which owns the file
 * and writes it. There are no locks here: `threshold` is atomic, `worker_id` and
 * `script_path` belong to their thread, and `file` is set once, by the main thread,
 * before there are others. */
#include "base/log.h"

#include "base/logfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES   LOGFILE_LINE_MAX /* the newline is one of them */
#define SCRIPT_MAX_BYTES 1024             /* what a script's path may take of it */

static const char CUT[] = "...[cut]";
static const char *const level_names[] = {"error", "warning", "info", "debug"};

static atomic_int threshold = LOG_LEVEL_INFO;
static struct logfile *file;

static _Thread_local int worker_id;
static _Thread_local const char *script_path;

/* -- Building a line -- */

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

static void line_add(struct line *line, const char *text, size_t len)
{
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the UTF-8 character at `s` (RFC 3629), where there are `n` bytes, at least
 * one. 0: the bytes are no character, but overlong, a surrogate, beyond U+10FFFF or cut
 * short. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return n >= 2 && is_tail(s[1]) ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        if (n < 3 || !is_tail(s[1]) || !is_tail(s[2]))
            return 0;
        bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
        bool surrogate = s[0] == 0xed && s[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (n < 4 || !is_tail(s[1]) || !is_tail(s[2]) || !is_tail(s[3]))
            return 0;
        bool overlong = s[0] == 0xf0 && s[1] < 0x90;
        bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

/* C0, DEL, C1 (a terminal takes U+009B for ESC [), and the line and paragraph separators
 * U+2028 and U+2029, at which some readers of logs end a line. */
static bool is_control(const unsigned char *s, size_t len)
{
    switch (len) {
    case 1:
        return s[0] < 0x20 || s[0] == 0x7f;
    case 2:
        return s[0] == 0xc2 && s[1] < 0xa0;
    case 3:
        return s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9);
    default:
        return false;
    }
}

/* Writes the character at `s`, escaped if need be, into `out`. Returns the bytes written;
 * `used` becomes the bytes read. */
static size_t escape_one(const unsigned char *s, size_t n, char out[16], size_t *used)
{
    *used = utf8_length(s, n);
    if (*used > 0 && !is_control(s, *used)) {
        memcpy(out, s, *used);
        return *used;
    }
    if (*used == 0)
        *used = 1;
    static const char plain[] = "\n\r\t", letters[] = "nrt";
    const char *found = *used == 1 && s[0] != '\0' ? strchr(plain, s[0]) : NULL;
    if (found != NULL) {
        out[0] = '\\';
        out[1] = letters[found - plain];
        return 2;
    }
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < *used; i++) {
        char *at = out + 4 * i;
        at[0] = '\\';
        at[1] = 'x';
        at[2] = hex[s[i] >> 4];
        at[3] = hex[s[i] & 15];
    }
    return 4 * *used;
}

/* Appends text, escaped, as long as the line stays within `limit` bytes. What does not
 * fit is replaced by the mark CUT, never within a character. */
static void line_escape(struct line *line, const char *text, size_t len, size_t limit)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t mark = sizeof CUT - 1, safe = line->len;
    for (size_t i = 0, used; i < len; i += used) {
        char out[16];
        size_t n = escape_one(s + i, len - i, out, &used);
        if (line->len + n > limit) {
            line->len = safe;
            line_add(line, CUT, mark);
            return;
        }
        line_add(line, out, n);
        if (line->len + mark <= limit)
            safe = line->len;
    }
}

/* A civil date from days since 1970-01-01. gmtime_r is not used, because it takes a lock
 * in glibc. Years begin in March here, so that the leap day is the last of its year. */
static void civil_date(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468; /* since 0000-03-01 */
    int64_t era = z / 146097, of_era = z % 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5) + 1;
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + era * 400) + (*month <= 2);
}

static void line_begin(struct line *line, enum log_level level)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t seconds = now.tv_sec < 0 ? 0 : (int64_t)now.tv_sec;
    int year, month, day, second = (int)(seconds % 86400);
    civil_date(seconds / 86400, &year, &month, &day);
    char head[128];
    int len = snprintf(head, sizeof head, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s", year,
                       month, day, second / 3600, second / 60 % 60, second % 60,
                       (int)(now.tv_nsec / 1000000), level_names[level]);
    line->len = 0;
    line_add(line, head, (size_t)len);
    if (worker_id > 0) {
        len = snprintf(head, sizeof head, " worker %d", worker_id);
        line_add(line, head, (size_t)len);
    }
    if (script_path != NULL) {
        line_add(line, " ", 1);
        line_escape(line, script_path, strlen(script_path), line->len + SCRIPT_MAX_BYTES);
    }
    line_add(line, ": ", 2);
}

static size_t say_lost(char *text, uint64_t count)
{
    struct line line;
    char what[128];
    int len =
        snprintf(what, sizeof what,
                 "%" PRIu64 " lines were lost: the log could not be written", count);
    line_begin(&line, LOG_LEVEL_WARNING);
    line_add(&line, what, (size_t)len);
    line_add(&line, "\n", 1);
    memcpy(text, line.text, line.len);
    return line.len;
}

/* For programs that never open the log, and before it is opened. */
static void write_unopened(const char *data, size_t len)
{
    if (write(STDERR_FILENO, data, len) < 0)
        return;
}

static void write_line(enum log_level level, const char *text, size_t len)
{
    struct line line;
    line_begin(&line, level);
    line_escape(&line, text, len, LINE_MAX_BYTES - 1);
    line_add(&line, "\n", 1);
    if (file != NULL)
        logfile_write(file, line.text, line.len);
    else
        write_unopened(line.text, line.len);
}

/* -- What every thread calls -- */

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void log_set_worker(int worker)
{
    worker_id = worker;
}

void log_set_script(const char *script)
{
    script_path = script != NULL && script[0] != '\0' ? script : NULL;
}

static void write_formatted(enum log_level level, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* A text that does not fit the buffer does not fit a line either, and is cut there. */
static void write_formatted(enum log_level level, const char *format, va_list args)
{
    char text[LINE_MAX_BYTES + 1];
    int len = vsnprintf(text, sizeof text, format, args);
    if (len < 0)
        len = snprintf(text, sizeof text, "(a message that cannot be formatted)");
    size_t used = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    write_line(level, text, used);
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    va_list args;
    va_start(args, format);
    write_formatted(level, format, args);
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

void log_lines(enum log_level level, const char *text)
{
    if (text == NULL || !log_enabled(level))
        return;
    int saved = errno;
    while (*text != '\0') {
        size_t len = strcspn(text, "\n"), skip = len + (text[len] == '\n');
        if (len > 0 && text[len - 1] == '\r')
            len--;
        if (len > 0)
            write_line(level, text, len);
        text += skip;
    }
    errno = saved;
}

/* -- Opening: main thread only -- */

/* Said whatever LogLevel is: whoever looks for the log must learn where it went. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_formatted(LOG_LEVEL_WARNING, format, args);
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

bool log_open(const char *path, enum log_level level)
{
    int saved = errno;
    if (file == NULL && (file = logfile_create(say_lost)) == NULL)
        return false; /* lines go to standard error */
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
    bool done = logfile_open(file, path != NULL ? path : "");
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
        say("the log file %s cannot be reopened (%s): logging goes on where it was",
            logfile_path(file), strerror(errno));
    errno = saved;
    return done;
}

void log_chown(unsigned uid, unsigned gid)
{
    if (file != NULL && !logfile_chown(file, uid, gid))
        log_warning("the log file %s cannot be given to uid %u: %s", logfile_path(file),
                    uid, strerror(errno));
}
