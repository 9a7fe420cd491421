/* Pages of errors. They are read from the disk each time, so that edits show at once; an
 * error is no place to save time. Runs in the worker that has the request; owns nothing,
 * no lock. */
#include "daemon/errorpage.h"

#include "base/log.h"
#include "http/mime.h"
#include "http/page.h"
#include "lua/source.h"

#include <stdio.h>
#include <string.h>

#define RETRY_AFTER "5" /* seconds, of a response 503 */

/* A visitor's own mistakes are no secrets, and have nothing to be shown. */
static bool is_shown(const struct request *r, int status)
{
    return request_config(r)->show_errors && status >= 500;
}

static bool ends_in(const char *path, const char *ending)
{
    size_t len = strlen(path), n = strlen(ending);
    return n < len && strcmp(path + len - n, ending) == 0;
}

static bool is_script(const struct config *c, const char *path)
{
    for (char **e = c->allowed_extensions; *e != NULL; e++)
        if (ends_in(path, *e))
            return true;
    return ends_in(path, ".lua");
}

static void set_header(struct request *r, const char *name, const char *value)
{
    request_set_header(r, name, strlen(name), value, strlen(value));
}

static void set_retry_after(struct request *r, int status)
{
    if (status == 503 && !request_head_sent(r))
        set_header(r, "Retry-After", RETRY_AFTER);
}

/* Appends the content of a regular file, of 16 MiB at most. 0, or an errno value. */
static int read_file(const char *path, struct buffer *text)
{
    struct source_ref ref;
    int error = source_read(path, "", &ref, text);
    if (error == 0)
        source_release(&ref);
    return error;
}

/* -- The site's file -- */

/* What cannot be sent leaves the built-in page as it is. */
static void send_file(struct request *r, int status, const char *path)
{
    struct buffer text = {0};
    int error = read_file(path, &text);
    if (error == 0) {
        request_reset(r, false);
        set_header(r, "Content-Type", mime_type(path, strlen(path)));
        request_append(r, text.data, text.len); /* on failure the status alone */
    } else {
        log_warning("ErrorPage[%d]: %s cannot be read: %s", status, path,
                    strerror(error));
    }
    buffer_free(&text);
}

/* -- The built-in page -- */

static void show(struct request *r, const struct script_error *error)
{
    struct buffer source = {0};
    struct page_detail detail = {
        .message = error->message == NULL ? "out of memory" : error->message,
        .file = error->file,
        .line = error->line,
    };
    if (detail.file != NULL && read_file(detail.file, &source) == 0) {
        detail.source = source.data == NULL ? "" : source.data;
        detail.source_len = source.len;
    }
    request_fail(r, error->status, &detail);
    buffer_free(&source);
}

void errorpage_make(struct request *r, const struct script_error *error)
{
    const char *path = config_error_page(request_config(r), error->status);
    bool sent = request_head_sent(r), shown = !sent && is_shown(r, error->status);
    if (shown)
        show(r, error);
    else
        request_fail(r, error->status, NULL);
    if (!sent && !shown && path != NULL && !is_script(request_config(r), path))
        send_file(r, error->status, path);
    set_retry_after(r, error->status);
}

/* -- The site's script -- */

const char *errorpage_script(const struct request *r, int status)
{
    const char *path = config_error_page(request_config(r), status);
    bool wanted = path != NULL && !is_shown(r, status) && !request_head_sent(r) &&
                  is_script(request_config(r), path);
    return wanted ? path : NULL;
}

void errorpage_clear(struct request *r, int status)
{
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    request_reset(r, true);
    request_set_status(r, code, strlen(code));
    set_retry_after(r, status);
}
