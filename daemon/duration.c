/* Durations: what is noted is atomic, each for itself, as it is only told. */
#include "daemon/duration.h"

void duration_note(struct duration *d, uint32_t ms)
{
    bool is_long = ms > DURATION_LONG;
    if (is_long) {
        atomic_store(&d->last, ms);
        atomic_fetch_add(&d->times, 1);
    }
    atomic_store(&d->is_long, is_long);
}
