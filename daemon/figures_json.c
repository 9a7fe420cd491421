/* Figures as JSON. Runs in whatever thread tells them; no state. */
#include "daemon/figures_json.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool write_character(struct buffer *out, const char *c, size_t len)
{
    unsigned char byte = (unsigned char)*c;
    if (len == 0)
        return buffer_puts(out, "\xef\xbf\xbd");
    if (byte < ' ' || byte == 0x7f)
        return buffer_printf(out, "\\u%04x", byte);
    /* So that the text can stand in a script element. */
    if (byte == '<')
        return buffer_puts(out, "\\u003c");
    if (byte == '"' || byte == '\\')
        return buffer_append(out, "\\", 1) && buffer_append(out, c, 1);
    return buffer_append(out, c, len);
}

static bool write_string(struct buffer *out, const char *text)
{
    size_t left = strlen(text);
    bool ok = buffer_puts(out, "\"");
    while (left > 0 && ok) {
        size_t len = utf8_length((const unsigned char *)text, left);
        ok = write_character(out, text, len);
        text += len > 0 ? len : 1;
        left -= len > 0 ? len : 1;
    }
    return ok && buffer_puts(out, "\"");
}

/* Each range as its end in seconds (null: endless) and how many are in it. */
static bool write_histogram(struct buffer *out, const struct figures *f,
                            const struct figures_value *v)
{
    int ranges = (int)v->integer;
    bool ok = buffer_printf(out, "{\"sum\":%.6f,\"ranges\":[", (double)v->sum / 1e6);
    for (int i = 0; i < ranges && ok; i++) {
        uint64_t n = figures_count_of(f, v, i);
        ok = i < ranges - 1 ? buffer_printf(out, "%s[%g,%" PRIu64 "]", i > 0 ? "," : "",
                                            v->ends[i] / 1e6, n)
                            : buffer_printf(out, ",[null,%" PRIu64 "]", n);
    }
    return ok && buffer_puts(out, "]}");
}

static bool write_value(struct buffer *out, const struct figures *f,
                        const struct figures_value *v)
{
    switch (v->type) {
    case FIGURES_IS_INTEGER:
    case FIGURES_IS_MOMENT:
        return buffer_printf(out, "%" PRId64, v->integer);
    case FIGURES_IS_REAL:
        if (!isfinite(v->real))
            return buffer_puts(out, "null");
        return buffer_printf(out, v->real == 0 ? "%.2f" : "%.9g", v->real);
    case FIGURES_IS_HISTOGRAM:
        return write_histogram(out, f, v);
    default:
        return write_string(out, figures_text_of(f, v));
    }
}

static bool write_member(struct buffer *out, const char *key, bool first)
{
    return buffer_printf(out, "%s\"%s\":", first ? "" : ",", key);
}

static bool write_rows(struct buffer *out, const struct figures *f,
                       const struct figures_part *p, size_t entry, bool first)
{
    bool ok = true;
    for (size_t i = 0; i < p->group->count && ok; i++)
        ok = write_member(out, p->group->rows[i].key, first && i == 0) &&
             write_value(out, f, figures_value(f, p, entry, i));
    return ok;
}

/* Labels come last, so that rows stand where others' programs expect them. */
static bool write_entry(struct buffer *out, const struct figures *f,
                        const struct figures_part *p, size_t entry)
{
    const struct figures_group *g = p->group;
    bool ok = buffer_puts(out, "{") && write_rows(out, f, p, entry, true);
    for (size_t i = 0; i < FIGURES_LABELS && g->labels[i] != NULL && ok; i++)
        ok = write_member(out, g->labels[i], g->count == 0 && i == 0) &&
             write_string(out, figures_label(f, p, entry, i));
    return ok && buffer_puts(out, "}");
}

static bool write_list(struct buffer *out, const struct figures *f,
                       const struct figures_part *p)
{
    bool ok = buffer_puts(out, "[");
    for (size_t e = 0; e < p->entries && ok; e++)
        ok = (e == 0 || buffer_puts(out, ",")) && write_entry(out, f, p, e);
    return ok && buffer_puts(out, "]");
}

static bool write_part(struct buffer *out, const struct figures *f,
                       const struct figures_part *p, bool first)
{
    const struct figures_group *g = p->group;
    if (g->name == NULL)
        return write_rows(out, f, p, 0, first);
    if (!write_member(out, g->name, first))
        return false;
    if (g->labels[0] != NULL)
        return write_list(out, f, p);
    return buffer_puts(out, "{") && write_rows(out, f, p, 0, true) &&
           buffer_puts(out, "}");
}

bool figures_json_write(const struct figures *f, struct buffer *out)
{
    bool ok = buffer_puts(out, "{");
    const struct figures_part *p;
    for (size_t n = 0; ok && (p = figures_part(f, n)) != NULL; n++)
        ok = write_part(out, f, p, n == 0);
    return ok && buffer_puts(out, "}");
}
