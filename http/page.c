/* The page of a failure: the status, a sentence for the visitor, and what else may be
 * shown. Pure functions, for any thread. */
#include "http/page.h"

#include "base/utf8.h"
#include "http/html.h"

#include <stdlib.h>
#include <string.h>

#define LINES_AROUND 5   /* of the source, before and behind the line */
#define LINE_BYTES   400 /* of one of them that are shown */
#define TRACEBACK    "\nstack traceback:\n" /* as Lua writes it */

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

/* Readable on a phone, in light and in dark, without a file from anywhere. What of the
 * source is too wide scrolls, and a shadow at its edge says so. */
static const char style[] =
    "<style>\n"
    ":root { color-scheme: light dark; --text: #22262e; --back: #fafafa;"
    " --line: #d5d8de; --box: #fff; --dim: #5b6270; --mark: #fde8e6; --edge: #b3261e;"
    " --shade: rgba(0, 0, 0, .22); }\n"
    "body { max-width: 56rem; margin: 10vh auto 3rem; padding: 0 1.25rem;"
    " color: var(--text); background: var(--back);"
    " font: 1.05rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }\n"
    "h1 { margin: 0 0 .5rem; font-size: 1.8rem; line-height: 1.2; }\n"
    "h2 { margin: 2rem 0 .5rem; font-size: 1rem; color: var(--dim); }\n"
    "h2 code { overflow-wrap: anywhere; }\n"
    "code, pre { font: .875rem/1.5 ui-monospace, monospace; }\n"
    "pre { margin: 0; padding: 1rem; border: 1px solid var(--line); border-radius: .5rem;"
    " tab-size: 4; overflow-x: auto; background:"
    " linear-gradient(to right, var(--box) 2rem, transparent) left / 4rem 100% local,"
    " linear-gradient(to left, var(--box) 2rem, transparent) right / 4rem 100% local,"
    " linear-gradient(to right, var(--shade), transparent) left / .75rem 100%,"
    " linear-gradient(to left, var(--shade), transparent) right / .75rem 100%"
    " var(--box); background-repeat: no-repeat; }\n"
    ".message { border-left: .25rem solid var(--edge); white-space: pre-wrap;"
    " overflow-wrap: anywhere; background: var(--box); }\n"
    ".source { padding: .5rem 0; }\n"
    ".source code { display: block; width: max-content; min-width: 100%;"
    " box-sizing: border-box; padding: 0 1rem; }\n"
    ".source b { display: inline-block; min-width: 2.5rem; margin-right: 1rem;"
    " text-align: right; font-weight: normal; color: var(--dim); user-select: none; }\n"
    ".source mark { display: block; width: max-content; min-width: 100%; color: inherit;"
    " background: var(--mark); }\n"
    ".source mark code { box-shadow: inset .25rem 0 var(--edge); }\n"
    "@media (prefers-color-scheme: dark) { :root { --text: #e3e6eb; --back: #16181d;"
    " --line: #3a3f4a; --box: #1e2129; --dim: #9aa2b1; --mark: #46211f;"
    " --edge: #f2867c; --shade: rgba(0, 0, 0, .6); } }\n"
    "</style>\n";

/* -- What a developer is shown -- */

/* Appends text that may be anything: what is no character becomes U+FFFD. */
static bool write_text(struct buffer *out, const char *text, size_t len)
{
    bool ok = true;
    for (size_t i = 0; ok && i < len;) {
        size_t n = utf8_length((const unsigned char *)text + i, len - i);
        bool shown = n > 1 || (n == 1 && ((unsigned char)text[i] >= ' ' ||
                                          text[i] == '\t' || text[i] == '\n'));
        ok = shown && text[i] != '\x7f' ? html_escape(out, text + i, n)
                                        : buffer_puts(out, "\xef\xbf\xbd");
        i += n == 0 ? 1 : n;
    }
    return ok;
}

/* Appends a line of the source. A long one is cut, though not within a character. */
static bool write_line(struct buffer *out, int number, const char *line, size_t len,
                       bool marked)
{
    bool cut = len > LINE_BYTES;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (cut)
        for (len = LINE_BYTES; len > 0 && (line[len] & 0xc0) == 0x80;)
            len--;
    return buffer_printf(out, "%s<code><b>%d</b>", marked ? "<mark>" : "", number) &&
           write_text(out, line, len) &&
           buffer_printf(out, "%s</code>%s", cut ? " ..." : "", marked ? "</mark>" : "");
}

/* Appends the lines around the place. */
static bool write_source(struct buffer *out, const struct page_detail *d)
{
    const char *at = d->source, *end = d->source + d->source_len;
    bool ok = buffer_puts(out, "<pre class=\"source\" tabindex=\"0\">");
    for (int n = 1; ok && at < end && n <= d->line + LINES_AROUND; n++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        if (n >= d->line - LINES_AROUND)
            ok = write_line(out, n, at, (size_t)(stop - at), n == d->line);
        at = newline == NULL ? end : newline + 1;
    }
    return ok && buffer_puts(out, "</pre>\n");
}

static bool write_detail(struct buffer *out, const struct page_detail *d)
{
    const char *trace = strstr(d->message, TRACEBACK);
    size_t all = strlen(d->message);
    size_t len = trace == NULL ? all : (size_t)(trace - d->message);
    bool ok = buffer_puts(out, "<pre class=\"message\">") &&
              write_text(out, d->message, len) && buffer_puts(out, "</pre>\n");
    if (d->file != NULL)
        ok = ok && buffer_puts(out, "<h2><code>") &&
             write_text(out, d->file, strlen(d->file)) &&
             buffer_printf(out, "</code>, line %d</h2>\n", d->line);
    if (d->file != NULL && d->source != NULL)
        ok = ok && write_source(out, d);
    if (trace != NULL)
        ok = ok && buffer_puts(out, "<h2>Traceback</h2>\n<pre tabindex=\"0\">") &&
             write_text(out, trace + strlen(TRACEBACK), all - len - strlen(TRACEBACK)) &&
             buffer_puts(out, "</pre>\n");
    return ok;
}

/* -- The page -- */

bool page_write(struct buffer *out, const char *status, const char *path,
                const struct page_detail *detail)
{
    int code = atoi(status);
    bool ok = buffer_printf(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<link rel=\"icon\" href=\"data:,\">\n"
        "<title>%s</title>\n%s</head>\n<body>\n<h1>%s</h1>\n<p>%s",
        status, style, status, explanation(code));
    if (code == 404)
        ok = ok && buffer_puts(out, " <code>") && write_text(out, path, strlen(path)) &&
             buffer_puts(out, "</code>");
    ok = ok && buffer_puts(out, "</p>\n");
    if (detail != NULL)
        ok = ok && write_detail(out, detail);
    return ok && buffer_puts(out, "</body>\n</html>\n");
}
