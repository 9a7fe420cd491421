/* Text in HTML pages: escaping. Pure functions, for any thread. */
#include "http/html.h"

const char *html_entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

bool html_escape(struct buffer *out, const char *text, size_t len)
{
    size_t done = 0;
    for (size_t i = 0; i < len; i++) {
        const char *escaped = html_entity(text[i]);
        if (escaped == NULL)
            continue;
        if (!buffer_append(out, text + done, i - done) || !buffer_puts(out, escaped))
            return false;
        done = i + 1;
    }
    return buffer_append(out, text + done, len - done);
}
