/* Wakers: latches that are counted. Any thread; no lock, all is atomic. */
#include "base/waker.h"

#include <stdlib.h>

static void destroy(struct waker *w)
{
    free(w);
}

struct waker *waker_create(void)
{
    struct waker *w = malloc(sizeof *w);
    if (w != NULL)
        waker_init(w, NULL, destroy);
    return w;
}

void waker_init(struct waker *w, void (*on_wake)(struct waker *w),
                void (*on_death)(struct waker *w))
{
    atomic_init(&w->references, 1);
    atomic_init(&w->woken, false);
    w->on_wake = on_wake;
    w->on_death = on_death;
}

struct waker *waker_ref(struct waker *w)
{
    atomic_fetch_add_explicit(&w->references, 1, memory_order_relaxed);
    return w;
}

void waker_unref(struct waker *w)
{
    if (w != NULL &&
        atomic_fetch_sub_explicit(&w->references, 1, memory_order_acq_rel) == 1)
        w->on_death(w);
}

/* Once is enough until who waits has looked. */
void waker_wake(struct waker *w)
{
    if (!atomic_exchange(&w->woken, true) && w->on_wake != NULL)
        w->on_wake(w);
}

void waker_reset(struct waker *w)
{
    atomic_store(&w->woken, false);
}

bool waker_is_woken(const struct waker *w)
{
    return atomic_load(&((struct waker *)w)->woken);
}
