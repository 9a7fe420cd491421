/* Numbers in texts. Pure; nothing blocks. */
#ifndef LUAFCGID2_BASE_NUMBER_H
#define LUAFCGID2_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* At least one digit, and nothing else. */
bool number_is_decimal(const char *text);

/* The number that `text` is, written in digits only. -1: it is none, or more than `most`.
 * NULL is none. */
int64_t number_decimal(const char *text, int64_t most);

#endif
