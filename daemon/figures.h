/* Figures: what the status tells, row by row.
 *
 * Whoever has figures to tell registers a group of rows and a function that reads them.
 * figures_take calls these functions one after the other, and keeps what they tell; then
 * it is written as text, as JSON (daemon/figures_text.h, daemon/figures_json.h) or as
 * metrics (daemon/figures_metrics.h). A row is added in one place, then.
 *
 * In a group without labels a row has one value. In one with labels there is an entry of
 * values for each of its things, such as scripts, which its labels tell apart. */
#ifndef LUAFCGID2_DAEMON_FIGURES_H
#define LUAFCGID2_DAEMON_FIGURES_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum figures_kind {
    FIGURES_GAUGE,   /* goes up and down */
    FIGURES_COUNTER, /* only up, from 0 at the start */
    FIGURES_HISTOGRAM,
    FIGURES_TEXT, /* not among the metrics */
};

struct figures_row {
    const char *key; /* as people read it, and in JSON: "states idle" */
    enum figures_kind kind;
    const char *metric; /* its name after "luafcgid2_", in base units, with the unit at
                           its end and without "_total"; NULL: not among the metrics */
    const char *unit;   /* "seconds", "bytes"; NULL: none */
    const char *help;   /* a sentence, for metrics */
    const char *said;   /* the key in texts, where it is another; NULL: it is not */
};

/* How much is asked for. */
enum figures_depth {
    FIGURES_BRIEF,
    FIGURES_FULL,   /* with each worker and each script */
    FIGURES_CHARTS, /* with the last minutes, for the page */
};

enum { FIGURES_LABELS = 2 };

struct figures;
struct view; /* daemon/view.h */

/* Static, and constant but for `next`. */
struct figures_group {
    const char *name; /* the object or list in JSON; NULL: the rows are at the top */
    const char *labels[FIGURES_LABELS]; /* NULL: none */
    const struct figures_row *rows;
    size_t count;
    enum figures_depth depth; /* told only if so much is asked for */
    void (*read)(struct figures *f);
    struct figures_group *next; /* the registry's */
};

/* Adds a group behind the others. Main thread, before there are others. */
void figures_register(struct figures_group *g);

/* -- What a group's function calls -- */

/* Begins an entry of a group with labels; its values follow. Labels are copied. */
void figures_entry(struct figures *f, const char *label, const char *second);

/* The value of the next row. Texts are copied; NULL is an empty one. */
void figures_integer(struct figures *f, int64_t n);
void figures_real(struct figures *f, double x);
void figures_text(struct figures *f, const char *text);

/* A time since 1970, in seconds: in texts as "31/Dec/2026:23:59:59 +0000". */
void figures_moment(struct figures *f, time_t moment);

/* Of a FIGURES_HISTOGRAM: how many were in each of `ranges` ranges; the last one is
 * endless. `ends` in microseconds and `sum` as of daemon/counters.h. */
void figures_histogram(struct figures *f, const int32_t *ends, const uint64_t *counts,
                       int ranges, uint64_t sum);

/* -- Taking and telling -- */

enum figures_type {
    FIGURES_IS_INTEGER,
    FIGURES_IS_REAL,
    FIGURES_IS_TEXT,
    FIGURES_IS_MOMENT,
    FIGURES_IS_HISTOGRAM,
};

struct figures_value {
    enum figures_type type;
    int64_t integer; /* a moment, and the number of ranges as well */
    double real;
    size_t text; /* where it begins in the texts */
    const int32_t *ends;
    size_t counts; /* where they begin in the counts */
    uint64_t sum;
};

/* A group as it was read. */
struct figures_part {
    const struct figures_group *group;
    size_t first, entries; /* its first value; how many entries, 1 without labels */
};

struct figures {
    const struct view *view; /* what all groups' functions look at */
    bool failed;             /* out of memory */
    struct buffer values, parts, texts, counts;
};

/* Reads the groups of that depth. `view` is borrowed for the call. Blocks no longer than
 * the groups' functions, none of which waits. false: out of memory. figures_free in any
 * case. */
bool figures_take(struct figures *f, enum figures_depth depth, const struct view *view);
void figures_free(struct figures *f);

/* The n-th part; NULL: there are no more. */
const struct figures_part *figures_part(const struct figures *f, size_t n);

/* A label of an entry of a part; and the value of a row in it. */
const char *figures_label(const struct figures *f, const struct figures_part *p,
                          size_t entry, size_t label);
const struct figures_value *figures_value(const struct figures *f,
                                          const struct figures_part *p, size_t entry,
                                          size_t row);

/* The text of a value. */
const char *figures_text_of(const struct figures *f, const struct figures_value *v);

/* How many a histogram's value has in range `n`. */
uint64_t figures_count_of(const struct figures *f, const struct figures_value *v, int n);

#endif
