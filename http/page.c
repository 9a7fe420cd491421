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

/* Readable on a phone, in light and in dark, without a file from anywhere. */
static const char style[] =
    "<style>\n"
    ":root { color-scheme: light dark; --text: #22262e; --back: #fafafa;"
    " --line: #d5d8de; --box: #fff; }\n"
    "body { max-width: 52rem; margin: 12vh auto; padding: 0 1.25rem; color: var(--text);"
    " background: var(--back);"
    " font: 1.05rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }\n"
    "h1 { margin: 0 0 .5rem; font-size: 1.8rem; line-height: 1.2; }\n"
    "code, pre { font: .875rem/1.5 ui-monospace, monospace; }\n"
    "pre { margin: 1.5rem 0; padding: 1rem; overflow-x: auto; background: var(--box);"
    " border: 1px solid var(--line); border-radius: .5rem; tab-size: 4; }\n"
    "@media (prefers-color-scheme: dark) { :root { --text: #e3e6eb; --back: #16181d;"
    " --line: #3a3f4a; --box: #1e2129; } }\n"
    "</style>\n";

bool page_write(struct buffer *out, const char *status, const char *path,
                const char *detail)
{
    int code = atoi(status);
    bool ok = buffer_printf(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<title>%s</title>\n%s</head>\n<body>\n<h1>%s</h1>\n<p>%s",
        status, style, status, explanation(code));
    if (code == 404)
        ok = ok && write_element(out, " <code>", path, "</code>");
    ok = ok && buffer_puts(out, "</p>\n");
    if (detail != NULL)
        ok = ok && write_element(out, "<pre>", detail, "</pre>\n");
    return ok && buffer_puts(out, "</body>\n</html>\n");
}
