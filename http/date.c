/* Dates in HTTP, by the Gregorian calendar and without the C library, whose functions ask
 * the locale and the time zone. Pure functions, for any thread. */
#include "http/date.h"

#include "base/ascii.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DAY_SECONDS 86400
#define ERA_DAYS    146097 /* 400 years */

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Seconds since 1970 are split with years that begin in March: then the day that leap
 * years have more is the last one. */
struct date {
    int year, month, day; /* month and day count from 1 */
};

static int64_t days_of(const struct date *d)
{
    int64_t year = d->month > 2 ? d->year : d->year - 1;
    int64_t era = year / 400, of_era = year % 400;
    int64_t of_year = (153 * (d->month + (d->month > 2 ? -3 : 9)) + 2) / 5 + d->day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct date date_of(int64_t day)
{
    int64_t n = day + 719468, era = n / ERA_DAYS, rest = n % ERA_DAYS;
    int64_t year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    int64_t of_year = rest - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * of_year + 2) / 153);
    struct date d = {.month = month < 10 ? month + 3 : month - 9,
                     .day = (int)(of_year - (153 * month + 2) / 5) + 1};
    d.year = (int)(year + era * 400) + (d.month <= 2);
    return d;
}

bool date_print(int64_t time, char text[DATE_SIZE])
{
    if (time < DATE_MIN || time > DATE_MAX)
        return false;
    int64_t day = (time - DATE_MIN) / DAY_SECONDS + DATE_MIN / DAY_SECONDS;
    int second = (int)(time - day * DAY_SECONDS);
    struct date d = date_of(day);
    /* 1 January of the year 1 was a Monday. */
    const char *weekday = days[(day - DATE_MIN / DAY_SECONDS + 1) % 7];
    char line[80];
    snprintf(line, sizeof line, "%.3s, %02d %s %04d %02d:%02d:%02d GMT", weekday, d.day,
             months[d.month - 1], d.year, second / 3600, second / 60 % 60, second % 60);
    memcpy(text, line, DATE_SIZE - 1);
    text[DATE_SIZE - 1] = '\0';
    return true;
}

/* -- Reading: each function takes what it names off the text -- */

struct text {
    const char *next, *end;
};

static bool take(struct text *t, const char *what)
{
    size_t len = strlen(what);
    if ((size_t)(t->end - t->next) < len || strncasecmp(t->next, what, len) != 0)
        return false;
    t->next += len;
    return true;
}

static bool take_digits(struct text *t, int digits, int *number)
{
    *number = 0;
    for (int i = 0; i < digits; i++, t->next++) {
        if (t->next == t->end || !ascii_is_digit(*t->next))
            return false;
        *number = *number * 10 + (*t->next - '0');
    }
    return true;
}

static bool take_month(struct text *t, int *month)
{
    for (*month = 1; *month <= 12; ++*month)
        if (take(t, months[*month - 1]))
            return true;
    return false;
}

static bool take_time(struct text *t, int *seconds)
{
    int hour, minute, second;
    if (!take_digits(t, 2, &hour) || !take(t, ":") || !take_digits(t, 2, &minute) ||
        !take(t, ":") || !take_digits(t, 2, &second))
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return hour < 24 && minute < 60 && second <= 60; /* 60: a leap second */
}

/* "Sun", or "Sunday" with `is_long`. */
static bool take_weekday(struct text *t, bool *is_long)
{
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        char abbreviated[4] = {days[i][0], days[i][1], days[i][2], '\0'};
        *is_long = take(t, days[i]);
        if (*is_long || take(t, abbreviated))
            return true;
    }
    return false;
}

/* The year of the century that is no more than 50 years after `now`. */
static int whole_year(int year, int64_t now)
{
    int this_year = date_of(now / DAY_SECONDS).year;
    int whole = this_year - this_year % 100 + year;
    return whole > this_year + 50 ? whole - 100 : whole;
}

/* "06 Nov 1994 08:49:37 GMT" */
static bool take_fixdate(struct text *t, struct date *d, int *seconds)
{
    return take_digits(t, 2, &d->day) && take(t, " ") && take_month(t, &d->month) &&
           take(t, " ") && take_digits(t, 4, &d->year) && take(t, " ") &&
           take_time(t, seconds) && take(t, " GMT");
}

/* "06-Nov-94 08:49:37 GMT" */
static bool take_rfc850(struct text *t, int64_t now, struct date *d, int *seconds)
{
    int year;
    bool ok = take_digits(t, 2, &d->day) && take(t, "-") && take_month(t, &d->month) &&
              take(t, "-") && take_digits(t, 2, &year) && take(t, " ") &&
              take_time(t, seconds) && take(t, " GMT");
    d->year = ok ? whole_year(year, now) : 0;
    return ok;
}

/* "Nov  6 08:49:37 1994" */
static bool take_asctime(struct text *t, struct date *d, int *seconds)
{
    return take_month(t, &d->month) && take(t, " ") &&
           (take(t, " ") ? take_digits(t, 1, &d->day) : take_digits(t, 2, &d->day)) &&
           take(t, " ") && take_time(t, seconds) && take(t, " ") &&
           take_digits(t, 4, &d->year);
}

static bool is_date(const struct date *d)
{
    if (d->year < 1 || d->day < 1)
        return false;
    struct date same = date_of(days_of(d));
    return same.day == d->day && same.month == d->month;
}

bool date_parse(const char *text, size_t len, int64_t now, int64_t *time)
{
    struct text t = {text, text + len};
    struct date d = {0};
    int seconds = 0;
    bool is_long;
    if (!take_weekday(&t, &is_long))
        return false;
    bool ok = take(&t, ", ") ? (is_long ? take_rfc850(&t, now, &d, &seconds)
                                        : take_fixdate(&t, &d, &seconds))
                             : take(&t, " ") && take_asctime(&t, &d, &seconds);
    if (!ok || t.next != t.end || !is_date(&d))
        return false;
    *time = days_of(&d) * DAY_SECONDS + seconds;
    return true;
}
