/* Numbers in texts. Runs on any thread; owns nothing, no locks. */
#include "base/number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool number_is_decimal(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

int64_t number_decimal(const char *text, int64_t most)
{
    if (text == NULL || !number_is_decimal(text))
        return -1;
    errno = 0;
    long long n = strtoll(text, NULL, 10);
    return errno == 0 && n <= most ? (int64_t)n : -1;
}
