/* Figures as text. Runs in whatever thread tells them; no state. */
#include "daemon/figures_text.h"

#include <inttypes.h>
#include <string.h>

enum { KEY_WIDTH = 22 }; /* php-fpm's: its longest key, a colon and a space */

bool figures_text_moment(struct buffer *out, int64_t moment)
{
    char text[64];
    time_t t = (time_t)moment;
    struct tm tm;
    if (moment == 0 || localtime_r(&t, &tm) == NULL ||
        strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S %z", &tm) == 0)
        return buffer_puts(out, "-");
    return buffer_puts(out, text);
}

static bool is_plain(char c)
{
    return (unsigned char)c >= ' ' && c != 0x7f;
}

static bool write_text(struct buffer *out, const char *text)
{
    bool ok = true;
    for (; *text != '\0' && ok; text++)
        ok = is_plain(*text) ? buffer_append(out, text, 1)
                             : buffer_printf(out, "\\x%02x", (unsigned char)*text);
    return ok;
}

/* How many there are, their mean, and below what half and all but one in a hundred of
 * them are. */
static bool write_histogram(struct buffer *out, const struct figures *f,
                            const struct figures_value *v)
{
    static const int parts[] = {50, 99};
    uint64_t all = 0, sum = 0;
    int ranges = (int)v->integer;
    for (int i = 0; i < ranges; i++)
        all += figures_count_of(f, v, i);
    bool ok = buffer_printf(out, "count %" PRIu64 ", mean %.6f s", all,
                            all == 0 ? 0 : (double)v->sum / 1e6 / (double)all);
    int range = 0;
    for (size_t i = 0; ok && all > 0 && i < sizeof parts / sizeof parts[0]; i++) {
        while (range < ranges - 1 &&
               (sum + figures_count_of(f, v, range)) * 100 < all * (uint64_t)parts[i])
            sum += figures_count_of(f, v, range++);
        ok = buffer_printf(out, ", %d %% within ", parts[i]) &&
             (range < ranges - 1 ? buffer_printf(out, "%g s", v->ends[range] / 1e6)
                                 : buffer_puts(out, "longer"));
    }
    return ok;
}

static bool write_value(struct buffer *out, const struct figures *f,
                        const struct figures_value *v)
{
    switch (v->type) {
    case FIGURES_IS_INTEGER:
        return buffer_printf(out, "%" PRId64, v->integer);
    case FIGURES_IS_REAL:
        return buffer_printf(out, v->real == 0 ? "%.2f" : "%.6g", v->real);
    case FIGURES_IS_MOMENT:
        return figures_text_moment(out, v->integer);
    case FIGURES_IS_HISTOGRAM:
        return write_histogram(out, f, v);
    default:
        return write_text(out, figures_text_of(f, v));
    }
}

/* A line of one value. Groups with a name have it before the key, so that no key of ours
 * is one of php-fpm's. */
static bool write_line(struct buffer *out, const struct figures *f, const char *group,
                       const char *key, const struct figures_value *v)
{
    size_t len = strlen(key) + 1 + (group == NULL ? 0 : strlen(group) + 1);
    int pad = len < KEY_WIDTH ? (int)(KEY_WIDTH - len) : 1;
    return buffer_printf(out, "%s%s%s:%*s", group == NULL ? "" : group,
                         group == NULL ? "" : " ", key, pad, "") &&
           write_value(out, f, v) && buffer_puts(out, "\n");
}

static const char *key_of(const struct figures_row *row)
{
    return row->said != NULL ? row->said : row->key;
}

static bool write_rows(struct buffer *out, const struct figures *f,
                       const struct figures_part *p, size_t entry, const char *group)
{
    bool ok = true;
    for (size_t i = 0; i < p->group->count && ok; i++)
        ok = write_line(out, f, group, key_of(&p->group->rows[i]),
                        figures_value(f, p, entry, i));
    return ok;
}

/* `name "label" "label": key value, key value` */
static bool write_entry(struct buffer *out, const struct figures *f,
                        const struct figures_part *p, size_t entry)
{
    const struct figures_group *g = p->group;
    bool ok = buffer_puts(out, g->name);
    for (size_t i = 0; i < FIGURES_LABELS && g->labels[i] != NULL && ok; i++)
        ok = buffer_puts(out, " ") && write_text(out, figures_label(f, p, entry, i));
    ok = ok && buffer_puts(out, ": ");
    for (size_t i = 0; i < g->count && ok; i++)
        ok = buffer_printf(out, "%s%s ", i > 0 ? ", " : "", key_of(&g->rows[i])) &&
             write_value(out, f, figures_value(f, p, entry, i));
    return ok && buffer_puts(out, "\n");
}

static bool is_named(const struct figures_part *p, const char *name)
{
    return name != NULL && p->group->name != NULL && strcmp(p->group->name, name) == 0;
}

static bool write_part(struct buffer *out, const struct figures *f,
                       const struct figures_part *p)
{
    if (p->group->labels[0] == NULL)
        return write_rows(out, f, p, 0, p->group->name);
    bool ok = true;
    for (size_t e = 0; e < p->entries && ok; e++)
        ok = write_entry(out, f, p, e);
    return ok;
}

static bool write_process(struct buffer *out, const struct figures *f,
                          const struct figures_part *p, size_t entry)
{
    return buffer_puts(out, "\n************************\n") &&
           write_rows(out, f, p, entry, NULL);
}

bool figures_text_write(const struct figures *f, const char *processes,
                        struct buffer *out)
{
    bool ok = true;
    const struct figures_part *p;
    for (size_t n = 0; ok && (p = figures_part(f, n)) != NULL; n++)
        if (!is_named(p, processes))
            ok = write_part(out, f, p);
    for (size_t n = 0; ok && (p = figures_part(f, n)) != NULL; n++)
        for (size_t e = 0; is_named(p, processes) && e < p->entries && ok; e++)
            ok = write_process(out, f, p, e);
    return ok;
}
