/* Closing connections that neither side has closed: the late ones, and, when something
 * ran out, the one that is needed least.
 *
 * Runs in the heartbeat thread (sweep_one) and in workers that accept or look. Whoever
 * closes a parked connection owns it first (fastcgi/slot.c); no locks. */
#include "fastcgi/sweep.h"

#include "base/clock.h"
#include "base/log.h"
#include "fastcgi/cut.h"
#include "fastcgi/rest.h"

enum {
    LAST_HEAD_TIME = 1000, /* ms that a head may take once the daemon stops */
    LAST_CUT_TIME = 5000,  /* and room for the record that a response is not whole */
};

/* -- Deadlines -- */

void sweep_set_limits(struct connections *set, const struct config *config)
{
    atomic_store(&set->limits[KIND_HEAD], (unsigned)config->read_timeout);
    atomic_store(&set->limits[KIND_IDLE], (unsigned)config->keep_alive_timeout);
    atomic_store(&set->limits[KIND_DRAIN], CLOSING_TIME);
    atomic_store(&set->limits[KIND_LINGER], CLOSING_TIME);
    atomic_store(&set->limits[KIND_OUT], (unsigned)config->write_timeout);
    atomic_store(&set->limits[KIND_CUT], (unsigned)config->write_timeout);
    atomic_store(&set->max_pending_output, (size_t)config->max_pending_output);
    if (atomic_load(&set->trust) < TRUST)
        atomic_store(&set->trust, TRUST);
}

/* Whether a waiting connection is late. */
static bool is_late(struct connections *set, struct connection *c, unsigned now)
{
    enum slot_kind kind = slot_kind_of(c);
    unsigned limit = atomic_load(&set->limits[kind]);
    unsigned last = kind == KIND_HEAD  ? LAST_HEAD_TIME
                    : kind == KIND_CUT ? LAST_CUT_TIME
                                       : 0;
    if (last > 0 && atomic_load(&set->stopping) && (limit == 0 || limit > last))
        limit = last;
    unsigned since = atomic_load_explicit(&c->since, memory_order_relaxed);
    return limit > 0 && slot_elapsed(now, since) >= limit;
}

static void warn_of_rest(struct rest *rest)
{
    struct log_request request = log_request_of(&rest->request);
    log_set_request(rest->known ? &request : NULL);
    log_warning("the web server did not take the response (WriteTimeout)");
    log_set_request(NULL);
}

/* The peer reads no more of a response. It is told, if it ever reads again, that this is
 * not the whole. */
static bool give_up(struct connections *set, struct connection *c)
{
    if (c->rest == NULL || rest_try(set, c))
        return false;
    if (slots_may_log_fault(set))
        warn_of_rest(c->rest);
    rest_give_up(set, c);
    if (cut_tell(c) == CUT_WAITS)
        return false;
    slot_close(set, c);
    return true;
}

bool sweep_close_if_late(struct connections *set, struct connection *c, unsigned now)
{
    if (!is_late(set, c, now) || slot_has_request(c))
        return false;
    if (slot_kind_of(c) == KIND_OUT)
        return give_up(set, c);
    if (slot_kind_of(c) == KIND_HEAD) {
        if (slots_may_log_fault(set))
            log_info("connection closed: no whole request came within ReadTimeout");
    } else {
        log_debug("connection closed: %s",
                  slot_kind_of(c) == KIND_CUT ? "a cut response was not read" : "idle");
    }
    slot_close(set, c);
    return true;
}

/* Asked again now that the connection is owned: what was read before may have changed. */
static void sweep_taken(struct connections *set, struct connection *c, unsigned now)
{
    if (!sweep_close_if_late(set, c, now))
        slot_park_or_again(set, NULL, c);
}

void sweep_one(struct connections *set, struct connection *c, unsigned now)
{
    if (!slot_is_parked(c) || !is_late(set, c, now))
        return;
    slots_borrow(set);
    if (slot_take_parked(c))
        sweep_taken(set, c, now);
    slots_return(set);
}

/* -- Room -- */

/* The parked connection that is needed least: idle ones first, then those that are being
 * closed, then those whose head does not come. Of one kind it is the one that has waited
 * longest. A head gets a moment to come; else the new connections of a crowd would close
 * each other. A response that is being read is never closed for that. */
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
        if (!slot_is_parked(c))
            continue;
        unsigned waited =
            slot_elapsed(now, atomic_load_explicit(&c->since, memory_order_relaxed));
        enum slot_kind kind = slot_kind_of(c);
        if (kind == KIND_OUT || (kind == KIND_HEAD && waited < RETRY_TIME))
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

bool sweep_make_room(struct connections *set)
{
    struct connection *c;
    while ((c = find_victim(set)) != NULL) {
        if (!slot_take_parked(c))
            continue;
        if (!slot_has_request(c)) {
            slot_close(set, c);
            atomic_fetch_add(&set->evictions, 1);
            return true;
        }
        slot_defer(set, c);
    }
    return false;
}

void sweep_note_failure(struct connections *set, int error)
{
    atomic_store(&set->failure, error);
    atomic_fetch_add(&set->failures, 1);
}
