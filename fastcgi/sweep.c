/* Closing connections that nobody asked to close: the late ones, and, when something ran
 * out, the one that is missed least.
 *
 * Runs in the heartbeat thread (connections_sweep) and in workers that accept or look. A
 * parked connection is closed only by who has made it its own (fastcgi/slot.c); no
 * locks. */
#include "fastcgi/private.h"

#include "base/clock.h"

enum {
    LAST_HEAD_TIME = 1000, /* ms that a head may take once the daemon stops */
    LAST_CUT_TIME = 5000,  /* and room for the record that a response is not whole */
    STARVED_TIME = 5000,   /* ms without a failed accept, after which that is over */
};

/* -- Deadlines -- */

void connections_set_limits(struct connections *set, const struct config *config)
{
    atomic_store(&set->limits[KIND_HEAD], (unsigned)config->read_timeout);
    atomic_store(&set->limits[KIND_IDLE], (unsigned)config->keep_alive_timeout);
    atomic_store(&set->limits[KIND_DRAIN], CLOSING_TIME);
    atomic_store(&set->limits[KIND_LINGER], CLOSING_TIME);
    atomic_store(&set->limits[KIND_CUT], (unsigned)config->write_timeout);
}

/* Whether a waiting connection is late. */
static bool is_late(struct connections *set, struct connection *c, unsigned now)
{
    enum connection_kind kind = connection_kind_of(c);
    unsigned limit = atomic_load(&set->limits[kind]);
    unsigned last = kind == KIND_HEAD  ? LAST_HEAD_TIME
                    : kind == KIND_CUT ? LAST_CUT_TIME
                                       : 0;
    if (last > 0 && atomic_load(&set->stopping) && (limit == 0 || limit > last))
        limit = last;
    unsigned since = atomic_load_explicit(&c->since, memory_order_relaxed);
    return limit > 0 && connection_elapsed(now, since) >= limit;
}

bool connection_close_if_late(struct connections *set, struct connection *c, unsigned now)
{
    if (!is_late(set, c, now) || connection_has_request(c))
        return false;
    if (connection_kind_of(c) == KIND_HEAD) {
        connections_log_fault(
            set, LOG_LEVEL_INFO,
            "connection closed: no whole request came within ReadTimeout");
    } else {
        log_debug("connection closed: %s", connection_kind_of(c) == KIND_CUT
                                               ? "a cut response was not read"
                                               : "idle");
    }
    connection_close(set, c);
    return true;
}

/* What was read before the connection was owned may have changed: asked again after. */
static void sweep_one(struct connections *set, struct connection *c, unsigned now)
{
    if (!connection_is_parked(c) || !is_late(set, c, now) || !connection_take_parked(c))
        return;
    if (!connection_close_if_late(set, c, now))
        connection_park_or_again(set, NULL, c);
}

/* -- Room -- */

/* The parked connection that is missed least: idle ones first, then those on their way
 * out, then heads that do not come; of one kind, the one that has waited longest. A head
 * gets a moment to come, or a crowd of newcomers would put each other out. */
static struct connection *find_victim(struct connections *set)
{
    static const unsigned char rank[] = {[KIND_HEAD] = 1,
                                         [KIND_IDLE] = 3,
                                         [KIND_DRAIN] = 2,
                                         [KIND_LINGER] = 2,
                                         [KIND_CUT] = 1};
    unsigned now = clock_ticks(), best_rank = 0, best_time = 0;
    struct connection *best = NULL;
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        struct connection *c = &set->table[i];
        if (!connection_is_parked(c))
            continue;
        unsigned waited = connection_elapsed(
            now, atomic_load_explicit(&c->since, memory_order_relaxed));
        enum connection_kind kind = connection_kind_of(c);
        if (kind == KIND_HEAD && waited < RETRY_TIME)
            continue;
        unsigned r = rank[kind];
        if (r > best_rank || (r == best_rank && waited >= best_time)) {
            best = c;
            best_rank = r;
            best_time = waited;
        }
    }
    return best;
}

bool connections_make_room(struct connections *set)
{
    struct connection *c;
    while ((c = find_victim(set)) != NULL) {
        if (!connection_take_parked(c))
            continue;
        if (!connection_has_request(c)) {
            connection_close(set, c);
            return true;
        }
        connections_defer(set, c);
    }
    return false;
}

void connections_note_failure(struct connections *set, const char *what)
{
    atomic_store(&set->last_failure, clock_ticks());
    if (!atomic_exchange(&set->starved, true))
        log_warning("%s: idle connections are closed to make room", what);
}

static void check_recovery(struct connections *set, unsigned now)
{
    if (atomic_load(&set->starved) && !atomic_load(&set->paused) &&
        connection_elapsed(now, atomic_load(&set->last_failure)) > STARVED_TIME) {
        atomic_store(&set->starved, false);
        log_warning("connections are accepted without trouble again");
    }
}

/* -- The heartbeat -- */

void connections_sweep(struct connections *set, const struct config *config)
{
    unsigned now = clock_ticks();
    connections_set_limits(set, config);
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++)
        sweep_one(set, &set->table[i], now);
    check_recovery(set, now);
}
