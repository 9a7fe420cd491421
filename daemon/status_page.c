/* The page of the status. The Makefile turns daemon/status_page.html into a list of its
 * lines. No state. */
#include "daemon/status_page.h"

static const char *const lines[] = {
#include "daemon/status_page.inc"
};

bool status_page_write(struct buffer *out)
{
    bool ok = true;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0] && ok; i++)
        ok = buffer_puts(out, lines[i]);
    return ok;
}
