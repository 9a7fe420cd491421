/* Stale states: those whose files or configuration have changed while they were idle. */
#ifndef LUAFCGID2_POOL_STALE_H
#define LUAFCGID2_POOL_STALE_H

#include "pool/stock.h"
#include <stdbool.h>

/* What the earlier sweeps have seen; the stock's lock guards it. Zeroed at first. */
struct stale_marks {
    unsigned epoch, generation; /* of source_epoch and config_generation */
    bool twice;                 /* two sweeps in a row saw the same */
};

/* Hands idle states that are no longer current to the closers, and forgets versions that
 * are not. Does nothing when nothing has changed since the last two sweeps. Looks at
 * files; no lock held. */
void stale_sweep(struct stock *s, struct stale_marks *marks);

#endif
