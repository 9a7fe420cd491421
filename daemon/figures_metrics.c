/* Figures as metrics. Runs in whatever thread tells them; no state.
 *
 * The samples of a family stand together, so for each row all entries are written before
 * the next row. */
#include "daemon/figures_metrics.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "luafcgid2_"

/* One family that is being written. */
struct family {
    const struct figures *f;
    const struct figures_part *part;
    const struct figures_row *row;
    struct buffer *out;
};

static bool write_escaped(struct buffer *out, const char *text)
{
    size_t left = strlen(text);
    bool ok = true;
    while (left > 0 && ok) {
        size_t len = utf8_length((const unsigned char *)text, left);
        if (len == 0)
            ok = buffer_puts(out, "\xef\xbf\xbd");
        else if (*text == '\n')
            ok = buffer_puts(out, "\\n");
        else
            ok = ((*text != '"' && *text != '\\') || buffer_puts(out, "\\")) &&
                 buffer_append(out, text, len);
        text += len > 0 ? len : 1;
        left -= len > 0 ? len : 1;
    }
    return ok;
}

/* `{worker="1",le="0.5"}`, or nothing. */
static bool write_labels(const struct family *m, size_t entry, const char *le)
{
    const struct figures_group *g = m->part->group;
    bool ok = true, any = false;
    for (size_t i = 0; i < FIGURES_LABELS && g->labels[i] != NULL && ok; i++) {
        ok = buffer_printf(m->out, "%s%s=\"", any ? "," : "{", g->labels[i]) &&
             write_escaped(m->out, figures_label(m->f, m->part, entry, i)) &&
             buffer_puts(m->out, "\"");
        any = true;
    }
    if (ok && le != NULL) {
        ok = buffer_printf(m->out, "%sle=\"%s\"", any ? "," : "{", le);
        any = true;
    }
    return ok && (!any || buffer_puts(m->out, "}"));
}

static bool write_name(const struct family *m, const char *suffix)
{
    return buffer_printf(m->out, PREFIX "%s%s", m->row->metric, suffix);
}

static bool write_count(const struct family *m, const char *suffix, size_t entry,
                        const char *le, uint64_t n)
{
    return write_name(m, suffix) && write_labels(m, entry, le) &&
           buffer_printf(m->out, " %" PRIu64 "\n", n);
}

/* OpenMetrics wants the ends of ranges as floating-point numbers. */
static void print_end(char *text, size_t size, int32_t microseconds)
{
    snprintf(text, size, microseconds < 1000 ? "%.5f" : "%g", microseconds / 1e6);
    if (strchr(text, '.') == NULL)
        strncat(text, ".0", size - strlen(text) - 1);
}

static bool write_histogram(const struct family *m, size_t entry,
                            const struct figures_value *v)
{
    uint64_t sum = 0;
    int ranges = (int)v->integer;
    bool ok = true;
    for (int i = 0; i < ranges && ok; i++) {
        char end[32] = "+Inf";
        if (i < ranges - 1)
            print_end(end, sizeof end, v->ends[i]);
        sum += figures_count_of(m->f, v, i);
        ok = write_count(m, "_bucket", entry, end, sum);
    }
    return ok && write_name(m, "_sum") && write_labels(m, entry, NULL) &&
           buffer_printf(m->out, " %.6f\n", (double)v->sum / 1e6) &&
           write_count(m, "_count", entry, NULL, sum);
}

static bool write_sample(const struct family *m, size_t entry, size_t row)
{
    const struct figures_value *v = figures_value(m->f, m->part, entry, row);
    if (v->type == FIGURES_IS_HISTOGRAM)
        return write_histogram(m, entry, v);
    if (!write_name(m, m->row->kind == FIGURES_COUNTER ? "_total" : "") ||
        !write_labels(m, entry, NULL))
        return false;
    if (v->type == FIGURES_IS_REAL)
        return buffer_printf(m->out, " %.9g\n", v->real);
    return buffer_printf(m->out, " %" PRId64 "\n", v->integer);
}

/* In the plain format a family of counters is called as its samples are. */
static bool write_head(const struct family *m, enum figures_metrics_format format)
{
    static const char *const types[] = {[FIGURES_GAUGE] = "gauge",
                                        [FIGURES_COUNTER] = "counter",
                                        [FIGURES_HISTOGRAM] = "histogram"};
    bool plain = format == FIGURES_METRICS_PLAIN;
    const char *suffix = plain && m->row->kind == FIGURES_COUNTER ? "_total" : "";
    const char *name = m->row->metric, *unit = plain ? NULL : m->row->unit;
    return buffer_printf(m->out, "# TYPE " PREFIX "%s%s %s\n", name, suffix,
                         types[m->row->kind]) &&
           (unit == NULL ||
            buffer_printf(m->out, "# UNIT " PREFIX "%s %s\n", name, unit)) &&
           buffer_printf(m->out, "# HELP " PREFIX "%s%s %s\n", name, suffix,
                         m->row->help);
}

static bool write_part(const struct figures *f, const struct figures_part *p,
                       enum figures_metrics_format format, struct buffer *out)
{
    bool ok = true;
    for (size_t row = 0; row < p->group->count && ok; row++) {
        struct family m = {f, p, &p->group->rows[row], out};
        if (m.row->metric == NULL || m.row->kind == FIGURES_TEXT || p->entries == 0)
            continue;
        ok = write_head(&m, format);
        for (size_t e = 0; e < p->entries && ok; e++)
            ok = write_sample(&m, e, row);
    }
    return ok;
}

bool figures_metrics_write(const struct figures *f, enum figures_metrics_format format,
                           struct buffer *out)
{
    bool ok = true;
    const struct figures_part *p;
    for (size_t n = 0; ok && (p = figures_part(f, n)) != NULL; n++)
        ok = write_part(f, p, format, out);
    return ok && (format == FIGURES_METRICS_PLAIN || buffer_puts(out, "# EOF\n"));
}
