/* Claims on names: at most one at a time holds a name, for all scripts of the process.
 * Others queue for it, and get it in the order in which they came.
 *
 * Whoever holds a name gives it back, or loses it when its time is over: to the first in
 * the queue, if there is one. There is no Lua here. The lock is a leaf, held for
 * microseconds; wakers are woken after it was released. */
#ifndef LUAFCGID2_STORE_CLAIM_H
#define LUAFCGID2_STORE_CLAIM_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/waker.h"

#include <stdbool.h>
#include <stdint.h>

struct claim_name;

/* Memory of whoever claims, from claim_begin to claim_end; fields for store/claim.c. All
 * but `waker` and `life` are guarded by its lock. */
struct claim {
    struct claim_name *name; /* NULL: it has lost the name, or ended */
    struct link link;        /* in the queue */
    struct waker *waker;     /* a reference */
    int64_t life;            /* ns that it may hold the name; 0: for ever */
    bool holds;
};

enum claim_result {
    CLAIM_DONE,
    CLAIM_IS_MINE, /* another claim with the same waker holds the name */
    CLAIM_NO_MEMORY,
};

/* Claims the name: claim_holds tells whether it was free, else it is in the queue, and
 * its waker is woken when claim_holds should be asked again. `life` as above. Only after
 * CLAIM_DONE is claim_end to be called. */
enum claim_result claim_begin(struct claim *c, struct bytes name, int64_t life,
                              struct waker *waker);

/* Whether it holds the name now. If not, it is to ask again at `*again`, nanoseconds of
 * base/clock.h (AWAITED_FOREVER: only when woken). */
bool claim_holds(struct claim *c, int64_t *again);

/* Gives the name back, or leaves the queue. Returns whether it held the name till now. */
bool claim_end(struct claim *c);

#endif
