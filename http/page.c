/* The page of a failure: the status, a sentence for the visitor, and what else may be
 * shown. Pure functions, for any thread. */
#include "http/page.h"

#include "http/html.h"

#include <stdlib.h>
#include <string.h>

/* What a visitor is told; no row: the status alone. */
static const struct {
    int status;
    const char *text;
} explanations[] = {
    {400, "What was sent is not what this page can read."},
    {403, "The server may not read this page."},
    {404, "There is no such page here:"},
    {413, "What was sent is larger than this server accepts."},
    {431, "The request has more fields than this server accepts."},
    {500, "The page could not be made. What went wrong is in the server's log."},
    {504, "The page took too long to make."},
};

static const char *explanation(int status)
{
    for (size_t i = 0; i < sizeof explanations / sizeof *explanations; i++)
        if (explanations[i].status == status)
            return explanations[i].text;
    return "";
}

static bool write_element(struct buffer *out, const char *open, const char *text,
                          const char *close)
{
    return buffer_puts(out, open) && html_escape(out, text, strlen(text)) &&
           buffer_puts(out, close);
}

bool page_write(struct buffer *out, const char *status, const char *path,
                const char *detail)
{
    int code = atoi(status);
    bool ok = buffer_printf(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<title>%s</title>\n</head>\n<body>\n<h1>%s</h1>\n<p>%s",
        status, status, explanation(code));
    if (code == 404)
        ok = ok && write_element(out, " <code>", path, "</code>");
    ok = ok && buffer_puts(out, "</p>\n");
    if (detail != NULL)
        ok = ok && write_element(out, "<pre>", detail, "</pre>\n");
    return ok && buffer_puts(out, "</body>\n</html>\n");
}
