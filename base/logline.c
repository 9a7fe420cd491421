/* One line of the log, while it is built. Runs in the thread that writes the line, and
 * touches nothing but that. */
#include "base/logline.h"

#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char CUT[] = "...[cut]";

void logline_add(struct logline *line, const char *text, size_t len)
{
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

void logline_puts(struct logline *line, const char *text)
{
    logline_add(line, text, strlen(text));
}

/* -- Escaping -- */

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

/* Writes the bytes of one character, or a byte that is none, in hexadecimal. JSON knows
 * the characters below 256 by number; a byte that is no character is written there as the
 * four letters that stand for it elsewhere. */
static size_t escape_bytes(const unsigned char *s, size_t len, bool is_character,
                           enum logline_style style, char out[24])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    if (style == LOGLINE_JSON && is_character) {
        unsigned code = len == 1   ? s[0]
                        : len == 2 ? (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu)
                                   : 0x2000u | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
        return (size_t)snprintf(out, 24, "\\u%04x", code);
    }
    for (size_t i = 0; i < len; i++) {
        out[n++] = '\\';
        if (style == LOGLINE_JSON)
            out[n++] = '\\';
        out[n++] = 'x';
        out[n++] = hex[s[i] >> 4];
        out[n++] = hex[s[i] & 15];
    }
    return n;
}

/* The letter that stands for a character behind a backslash; 0: none does. */
static char short_escape(unsigned char c, enum logline_style style)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return style == LOGLINE_PLAIN ? '\0' : (char)c;
    default:
        return '\0';
    }
}

/* Writes the character at `s`, escaped if need be, into `out`. Returns the bytes written;
 * `used` becomes the bytes read. */
static size_t escape_one(const unsigned char *s, size_t n, enum logline_style style,
                         char out[24], size_t *used)
{
    *used = utf8_length(s, n);
    char letter = short_escape(s[0], style);
    if (letter != '\0') {
        out[0] = '\\';
        out[1] = letter;
        return 2;
    }
    if (*used > 0 && !is_control(s, *used)) {
        memcpy(out, s, *used);
        return *used;
    }
    bool is_character = *used > 0;
    if (!is_character)
        *used = 1;
    return escape_bytes(s, *used, is_character, style, out);
}

void logline_escape(struct logline *line, enum logline_style style, const char *text,
                    size_t len, size_t limit)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t mark = sizeof CUT - 1, safe = line->len;
    for (size_t i = 0, used; i < len; i += used) {
        char out[24];
        size_t n = escape_one(s + i, len - i, style, out, &used);
        if (line->len + n > limit) {
            line->len = safe;
            logline_add(line, CUT, mark);
            return;
        }
        logline_add(line, out, n);
        if (line->len + mark <= limit)
            safe = line->len;
    }
}

/* -- The time -- */

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

void logline_time(struct logline *line)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t seconds = now.tv_sec < 0 ? 0 : (int64_t)now.tv_sec;
    int year, month, day, second = (int)(seconds % 86400);
    civil_date(seconds / 86400, &year, &month, &day);
    char text[64];
    int len = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year,
                       month, day, second / 3600, second / 60 % 60, second % 60,
                       (int)(now.tv_nsec / 1000000));
    logline_add(line, text, (size_t)len);
}
