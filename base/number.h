/* Numbers in texts. Pure; nothing blocks. */
#ifndef LUAFCGID2_BASE_NUMBER_H
#define LUAFCGID2_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Whether it is at least one digit and nothing else. */
bool number_is_decimal(const char *text);

/* The number written in `text` as digits only. -1: `text` is no such number, is NULL, or
 * the number is more than `most`. */
int64_t number_decimal(const char *text, int64_t most);

#endif
