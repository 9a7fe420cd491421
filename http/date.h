/* Dates in HTTP (RFC 9110 section 5.6.7). Pure; nothing blocks. */
#ifndef LUAFCGID2_HTTP_DATE_H
#define LUAFCGID2_HTTP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL */

/* The first and the last second of the years that can be written, 1 to 9999. */
#define DATE_MIN INT64_C(-62135596800)
#define DATE_MAX INT64_C(253402300799)

/* Writes seconds since 1970 as IMF-fixdate. false: the year is not 1 to 9999. */
bool date_print(int64_t time, char text[DATE_SIZE]);

/* Reads a date of any of the three forms, the obsolete ones too. Of a year of two digits
 * the one is meant that is no more than 50 years after `now`. false: not a date. */
bool date_parse(const char *text, size_t len, int64_t now, int64_t *time);

#endif
