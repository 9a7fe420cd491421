/* Rows of the status about scripts and their Lua states. Runs in whatever thread shows
 * the status. */
#include "daemon/rows_scripts.h"

#include "daemon/figures.h"
#include "daemon/view.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SCRIPTS = 100 }; /* that are told one by one */

/* -- All together -- */

static const struct figures_row rows[] = {
    {.key = "idle",
     .kind = FIGURES_GAUGE,
     .metric = "states_idle",
     .help = "Lua states that wait for a request."},
    {.key = "busy",
     .kind = FIGURES_GAUGE,
     .metric = "states_busy",
     .help = "Lua states that have a request, or are being made."},
    {.key = "waiting",
     .kind = FIGURES_GAUGE,
     .metric = "states_waiting",
     .help = "Of the busy ones, those whose request waits without a worker, or has."},
    {.key = "extra",
     .kind = FIGURES_GAUGE,
     .metric = "states_extra",
     .help = "Of the busy ones, those beyond LuaMaxStates or LuaTotalStates."},
    {.key = "memory",
     .kind = FIGURES_GAUGE,
     .metric = "states_memory_bytes",
     .unit = "bytes",
     .help = "Memory of all Lua states, each as after its last request."},
    {.key = "loads",
     .kind = FIGURES_COUNTER,
     .metric = "state_loads",
     .help = "Lua states that were made."},
    {.key = "evictions",
     .kind = FIGURES_COUNTER,
     .metric = "state_evictions",
     .help = "Idle Lua states that made room for those of other scripts."},
    {.key = "extra made",
     .kind = FIGURES_COUNTER,
     .metric = "states_extra_made",
     .help = "Lua states that were made beyond LuaMaxStates or LuaTotalStates."},
};

static void read_all(struct figures *f)
{
    const struct pool_figures *p = &f->view->pool;
    figures_integer(f, p->idle);
    figures_integer(f, p->busy);
    figures_integer(f, p->waiting);
    figures_integer(f, p->extra);
    figures_integer(f, (int64_t)p->memory);
    figures_integer(f, (int64_t)p->loads);
    figures_integer(f, (int64_t)p->evictions);
    figures_integer(f, (int64_t)p->extras);
}

static struct figures_group all = {.name = "states",
                                   .rows = rows,
                                   .count = sizeof rows / sizeof rows[0],
                                   .read = read_all};

/* -- Each script -- */

static const struct figures_row script_rows[] = {
    {.key = "idle",
     .kind = FIGURES_GAUGE,
     .metric = "script_states_idle",
     .help = "Lua states of the script that wait for a request."},
    {.key = "busy",
     .kind = FIGURES_GAUGE,
     .metric = "script_states_busy",
     .help = "Lua states of the script that have a request, or are being made."},
    {.key = "waiting",
     .kind = FIGURES_GAUGE,
     .metric = "script_states_waiting",
     .help = "Of the busy ones, those whose request waits without a worker, or has."},
    {.key = "memory",
     .kind = FIGURES_GAUGE,
     .metric = "script_memory_bytes",
     .unit = "bytes",
     .help = "Memory of the script's Lua states, each as after its last request."},
    {.key = "hits",
     .kind = FIGURES_COUNTER,
     .metric = "script_requests",
     .help = "Requests for the script."},
    {.key = "time",
     .kind = FIGURES_COUNTER,
     .metric = "script_seconds",
     .unit = "seconds",
     .help = "Time that requests for the script took, until their answers were there."},
    {.key = "mean time", .kind = FIGURES_GAUGE},
    {.key = "loads",
     .kind = FIGURES_COUNTER,
     .metric = "script_loads",
     .help = "Lua states of the script that were made."},
    {.key = "evictions",
     .kind = FIGURES_COUNTER,
     .metric = "script_evictions",
     .help = "Idle Lua states of the script that made room for those of others."},
    {.key = "errors",
     .kind = FIGURES_COUNTER,
     .metric = "script_errors",
     .help = "Requests that failed by the script's fault."},
    {.key = "last error", .kind = FIGURES_TEXT},
    {.key = "last error time", .kind = FIGURES_GAUGE},
};

/* The scripts that were asked for most often; the first has the fewest hits of them. */
struct list {
    struct kept {
        struct pool_script script;
        char *path, *root;
    } kept[MOST_SCRIPTS];
    int count;
};

static void drop(struct kept *k)
{
    free(k->path);
    free(k->root);
}

static int by_hits(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return (x->script.hits < y->script.hits) - (x->script.hits > y->script.hits);
}

/* The place of the one with the fewest hits. */
static struct kept *place_for(struct list *l, const struct pool_script *s)
{
    if (l->count < MOST_SCRIPTS)
        return &l->kept[l->count++];
    struct kept *least = &l->kept[0];
    for (int i = 1; i < l->count; i++)
        if (l->kept[i].script.hits < least->script.hits)
            least = &l->kept[i];
    if (least->script.hits >= s->hits)
        return NULL;
    drop(least);
    return least;
}

static void keep(const struct pool_script *s, void *arg)
{
    struct kept *k = place_for(arg, s);
    if (k != NULL)
        *k = (struct kept){*s, strdup(s->path), strdup(s->root)};
}

static void tell(struct figures *f, const struct kept *k)
{
    const struct pool_script *s = &k->script;
    figures_entry(f, k->path, k->root);
    figures_integer(f, s->idle);
    figures_integer(f, s->busy);
    figures_integer(f, s->waiting);
    figures_integer(f, (int64_t)s->memory);
    figures_integer(f, (int64_t)s->hits);
    figures_real(f, (double)s->time / 1e9);
    figures_real(f, s->hits == 0 ? 0 : (double)s->time / 1e9 / (double)s->hits);
    figures_integer(f, (int64_t)s->loads);
    figures_integer(f, (int64_t)s->evictions);
    figures_integer(f, (int64_t)s->errors);
    figures_text(f, s->error);
    figures_moment(f, s->error_time);
}

static void read_scripts(struct figures *f)
{
    struct list *l = calloc(1, sizeof *l);
    if (l == NULL) {
        f->failed = true;
        return;
    }
    pool_read_scripts(f->view->service->pool, keep, l);
    qsort(l->kept, (size_t)l->count, sizeof l->kept[0], by_hits);
    for (int i = 0; i < l->count; i++) {
        tell(f, &l->kept[i]);
        drop(&l->kept[i]);
    }
    free(l);
}

static struct figures_group scripts = {.name = "scripts",
                                       .labels = {"script", "root"},
                                       .rows = script_rows,
                                       .count =
                                           sizeof script_rows / sizeof script_rows[0],
                                       .depth = FIGURES_FULL,
                                       .read = read_scripts};

void rows_scripts_register(void)
{
    figures_register(&all);
    figures_register(&scripts);
}
