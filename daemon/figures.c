/* The registry of figures, and one reading of them.
 *
 * Groups are registered before there are threads, and never change afterwards. A struct
 * figures belongs to the thread that takes it. Its values lie in one list, labels first;
 * texts and counts are kept beside it, and found by where they begin. */
#include "daemon/figures.h"

#include <string.h>

static struct figures_group *groups, **end_of_groups = &groups;

void figures_register(struct figures_group *g)
{
    for (struct figures_group *known = groups; known != NULL; known = known->next)
        if (known == g)
            return;
    g->next = NULL;
    *end_of_groups = g;
    end_of_groups = &g->next;
}

/* -- Filling -- */

static size_t labels_of(const struct figures_group *g)
{
    size_t n = 0;
    while (n < FIGURES_LABELS && g->labels[n] != NULL)
        n++;
    return n;
}

static struct figures_part *last_part(const struct figures *f)
{
    return (struct figures_part *)(void *)f->parts.data +
           f->parts.len / sizeof(struct figures_part) - 1;
}

static void add(struct figures *f, const struct figures_value *v)
{
    if (!buffer_append(&f->values, v, sizeof *v))
        f->failed = true;
}

static size_t keep_text(struct figures *f, const char *text)
{
    size_t at = f->texts.len;
    if (text == NULL)
        text = "";
    if (!buffer_append(&f->texts, text, strlen(text) + 1))
        f->failed = true;
    return at;
}

void figures_text(struct figures *f, const char *text)
{
    add(f, &(struct figures_value){.type = FIGURES_IS_TEXT, .text = keep_text(f, text)});
}

void figures_entry(struct figures *f, const char *label, const char *second)
{
    if (f->failed)
        return;
    struct figures_part *p = last_part(f);
    const char *labels[FIGURES_LABELS] = {label, second};
    p->entries++;
    for (size_t i = 0; i < labels_of(p->group); i++)
        figures_text(f, labels[i]);
}

void figures_integer(struct figures *f, int64_t n)
{
    add(f, &(struct figures_value){.type = FIGURES_IS_INTEGER, .integer = n});
}

void figures_real(struct figures *f, double x)
{
    add(f, &(struct figures_value){.type = FIGURES_IS_REAL, .real = x});
}

void figures_moment(struct figures *f, time_t moment)
{
    add(f,
        &(struct figures_value){.type = FIGURES_IS_MOMENT, .integer = (int64_t)moment});
}

void figures_histogram(struct figures *f, const int32_t *ends, const uint64_t *counts,
                       int ranges, uint64_t sum)
{
    size_t at = f->counts.len / sizeof *counts;
    if (!buffer_append(&f->counts, counts, (size_t)ranges * sizeof *counts))
        f->failed = true;
    add(f, &(struct figures_value){.type = FIGURES_IS_HISTOGRAM,
                                   .integer = ranges,
                                   .ends = ends,
                                   .counts = at,
                                   .sum = sum});
}

/* -- Taking -- */

static void read_group(struct figures *f, const struct figures_group *g)
{
    struct figures_part part = {.group = g,
                                .first = f->values.len / sizeof(struct figures_value),
                                .entries = g->labels[0] == NULL};
    if (f->failed || !buffer_append(&f->parts, &part, sizeof part)) {
        f->failed = true;
        return;
    }
    g->read(f);
}

bool figures_take(struct figures *f, enum figures_depth depth, const struct view *view)
{
    *f = (struct figures){.view = view};
    for (const struct figures_group *g = groups; g != NULL; g = g->next)
        if (g->depth <= depth)
            read_group(f, g);
    return !f->failed;
}

void figures_free(struct figures *f)
{
    buffer_free(&f->values);
    buffer_free(&f->parts);
    buffer_free(&f->texts);
    buffer_free(&f->counts);
}

/* -- Looking -- */

const struct figures_part *figures_part(const struct figures *f, size_t n)
{
    if (n >= f->parts.len / sizeof(struct figures_part))
        return NULL;
    return (const struct figures_part *)(const void *)f->parts.data + n;
}

static const struct figures_value *value_at(const struct figures *f, size_t i)
{
    return (const struct figures_value *)(const void *)f->values.data + i;
}

static size_t entry_at(const struct figures_part *p, size_t entry)
{
    return p->first + entry * (labels_of(p->group) + p->group->count);
}

const char *figures_label(const struct figures *f, const struct figures_part *p,
                          size_t entry, size_t label)
{
    return figures_text_of(f, value_at(f, entry_at(p, entry) + label));
}

const struct figures_value *figures_value(const struct figures *f,
                                          const struct figures_part *p, size_t entry,
                                          size_t row)
{
    return value_at(f, entry_at(p, entry) + labels_of(p->group) + row);
}

const char *figures_text_of(const struct figures *f, const struct figures_value *v)
{
    return f->texts.data + v->text;
}

uint64_t figures_count_of(const struct figures *f, const struct figures_value *v, int n)
{
    return ((const uint64_t *)(const void *)f->counts.data)[v->counts + (size_t)n];
}
