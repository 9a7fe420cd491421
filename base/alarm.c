/* Warnings of what happens again and again. `noted` is atomic; all else belongs to the
 * thread that asks. */
#include "base/alarm.h"

void alarm_note(struct alarm *a, unsigned count)
{
    atomic_fetch_add_explicit(&a->noted, count, memory_order_relaxed);
}

void alarm_last(struct alarm *a, uint32_t now)
{
    a->last = now;
}

enum alarm_news alarm_ask(struct alarm *a, uint32_t now, unsigned *count)
{
    unsigned fresh = atomic_exchange_explicit(&a->noted, 0, memory_order_relaxed);
    a->count += fresh;
    if (fresh > 0)
        a->last = now;
    bool over = a->lasts && now - a->last >= ALARM_QUIET;
    bool due = a->count > 0 && (!a->ever_said || now - a->said_at >= ALARM_PERIOD);
    if (!over && !due)
        return ALARM_NOTHING;
    *count = a->count;
    a->count = 0;
    a->lasts = !over;
    if (over)
        return ALARM_OVER;
    a->ever_said = true;
    a->said_at = now;
    return ALARM_SAY;
}
