/* What the daemon itself answers. Runs in the worker that has the request, or in the
 * thread of StatusListen; no state, no lock. */
#include "daemon/status.h"

#include "daemon/figures.h"
#include "daemon/figures_json.h"
#include "daemon/figures_metrics.h"
#include "daemon/figures_text.h"
#include "daemon/recent.h"
#include "daemon/status_page.h"
#include "daemon/view.h"

#include <string.h>

#define OPEN_METRICS "application/openmetrics-text"

struct form {
    const char *type; /* Content-Type */
    bool (*write)(const struct figures *f, struct buffer *out);
};

/* -- Whether a request is for it -- */

static const char *find_param(const struct request *r, const char *name)
{
    size_t count, len = strlen(name);
    const struct param *list = request_params(r, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i].name_len == len && memcmp(list[i].name, name, len) == 0)
            return list[i].value;
    return "";
}

/* Every request is compared: the first characters tell most of them apart. */
static bool is_path(const char *path, const char *asked)
{
    if (path[0] == '\0')
        return false;
    for (; *path != '\0' && *path == *asked; path++)
        asked++;
    return *path == '\0' && (*asked == '\0' || *asked == '?' || *asked == '#');
}

enum status_page status_asked_for(const struct request *r)
{
    const struct config *config = request_config(r);
    if (config->status_path[0] == '\0' && config->ping_path[0] == '\0')
        return STATUS_NOTHING;
    const char *asked = request_param(r, PARAM_SCRIPT_NAME);
    if (asked[0] == '\0')
        asked = request_param(r, PARAM_REQUEST_URI);
    return is_path(config->status_path, asked) ? STATUS_FIGURES
           : is_path(config->ping_path, asked) ? STATUS_PING
                                               : STATUS_NOTHING;
}

/* -- Forms -- */

static bool write_text(const struct figures *f, struct buffer *out)
{
    return figures_text_write(f, "processes", out);
}

static bool write_metrics(const struct figures *f, struct buffer *out)
{
    return figures_metrics_write(f, FIGURES_METRICS_OPEN, out);
}

static bool write_plain_metrics(const struct figures *f, struct buffer *out)
{
    return figures_metrics_write(f, FIGURES_METRICS_PLAIN, out);
}

static const struct form text_form = {"text/plain; charset=utf-8", write_text};
static const struct form json_form = {"application/json", figures_json_write};
static const struct form metrics_form = {OPEN_METRICS "; version=1.0.0; charset=utf-8",
                                         write_metrics};
static const struct form plain_metrics_form = {"text/plain; version=0.0.4; charset=utf-8",
                                               write_plain_metrics};
static const struct form page_form = {"text/html; charset=utf-8", NULL};

static bool has_word(const char *query, const char *word)
{
    size_t len = strlen(word);
    for (; *query != '\0'; query += query[0] == '&') {
        size_t n = strcspn(query, "&");
        /* as a form sends it: "full=" */
        if (n >= len && memcmp(query, word, len) == 0 && (n == len || query[len] == '='))
            return true;
        query += n;
    }
    return false;
}

/* Old readers of metrics say that they read the older format, and do not name the newer
 * one. */
static const struct form *metrics_for(const struct request *r)
{
    const char *accept = find_param(r, "HTTP_ACCEPT");
    bool plain =
        strstr(accept, "text/plain") != NULL && strstr(accept, OPEN_METRICS) == NULL;
    return plain ? &plain_metrics_form : &metrics_form;
}

static const struct form *form_of(const struct request *r, const char *query)
{
    return has_word(query, "json")          ? &json_form
           : has_word(query, "openmetrics") ? metrics_for(r)
           : has_word(query, "html")        ? &page_form
                                            : &text_form;
}

static enum figures_depth depth_of(const char *query)
{
    return has_word(query, "charts") ? FIGURES_CHARTS
           : has_word(query, "full") ? FIGURES_FULL
                                     : FIGURES_BRIEF;
}

/* -- The answer -- */

static void set_header(struct request *r, const char *name, const char *value)
{
    request_set_header(r, name, strlen(name), value, strlen(value));
}

static void set_head(struct request *r, const char *type)
{
    request_set_status(r, "200", 3);
    set_header(r, "Content-Type", type);
    set_header(r, "Cache-Control", "no-store");
    set_header(r, "X-Content-Type-Options", "nosniff");
}

static bool write_figures(const struct form *form, enum figures_depth depth,
                          struct buffer *out)
{
    struct view view;
    struct figures figures;
    bool ok = view_take(&view);
    if (ok) {
        ok = figures_take(&figures, depth, &view) && form->write(&figures, out);
        figures_free(&figures);
    }
    view_free(&view);
    return ok;
}

static void answer_figures(struct request *r)
{
    struct buffer out = {0};
    const char *query = find_param(r, "QUERY_STRING");
    const struct form *form = form_of(r, query);
    bool ok = form == &page_form ? status_page_write(&out)
                                 : write_figures(form, depth_of(query), &out);
    if (ok) {
        set_head(r, form->type);
        if (form == &page_form)
            set_header(r, "Content-Security-Policy", STATUS_PAGE_POLICY);
        ok = request_send(r, out.data, out.len);
    }
    if (!ok)
        request_fail(r, 503, NULL);
    buffer_free(&out);
}

void status_answer(struct request *r, enum status_page page)
{
    if (page == STATUS_FIGURES) {
        answer_figures(r);
        return;
    }
    const char *text = request_config(r)->ping_response;
    set_head(r, "text/plain; charset=utf-8");
    if (!request_send(r, text, strlen(text)))
        request_fail(r, 503, NULL);
}

void status_note_error(const struct request *r, int status, const char *message)
{
    recent_note(status, request_param(r, PARAM_SCRIPT_FILENAME),
                request_param(r, PARAM_REQUEST_URI), message);
}
