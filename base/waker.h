/* What is waited for, and wakers: by its waker one thread ends the wait of another, or of
 * a request that waits without a thread.
 *
 * A waker is a latch. Who waits resets it, then looks whether what it waits for is there,
 * and waits if it is not. Who makes it come true wakes afterwards. So nothing is missed.
 * A wait may end for nothing, so who has waited looks again.
 *
 * A waker is counted: who is about to wake holds a reference, and the request may end
 * meanwhile. */
#ifndef LUAFCGID2_BASE_WAKER_H
#define LUAFCGID2_BASE_WAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* -- What is waited for -- */

enum {
    AWAITED_READ = 1,    /* `fd` can be read, */
    AWAITED_WRITE = 2,   /* or written; of both also that it has an error */
    AWAITED_WAKER = 4,   /* the waker was woken */
    AWAITED_INPUT = 8,   /* the peer may have sent more */
    AWAITED_OUTPUT = 16, /* the peer may have room for more */
    /* Always waited for: the peer is gone; or the daemon stops, which does not end a wait
     * for AWAITED_INPUT or AWAITED_OUTPUT. */
    AWAITED_END = 32,
};

#define AWAITED_FOREVER INT64_MAX

/* Whatever comes first ends the wait. */
struct awaited {
    unsigned what; /* AWAITED_, or'ed */
    int fd;        /* of AWAITED_READ and AWAITED_WRITE; borrowed */
    int64_t until; /* nanoseconds of base/clock.h, or AWAITED_FOREVER */
    unsigned came; /* once the wait is over: AWAITED_, or'ed; 0: `until` is over */
};

/* -- Wakers -- */

struct waker {
    atomic_uint references;
    atomic_bool woken;
    void (*on_wake)(struct waker *w);  /* immutable; NULL: there is only the latch */
    void (*on_death)(struct waker *w); /* immutable; frees it */
};

/* Makes one that frees itself; one reference is the caller's. NULL: out of memory. */
struct waker *waker_create(void);

/* Makes one of memory that another struct contains. */
void waker_init(struct waker *w, void (*on_wake)(struct waker *w),
                void (*on_death)(struct waker *w));

/* Any thread that knows of a reference. */
struct waker *waker_ref(struct waker *w);
void waker_unref(struct waker *w); /* NULL is allowed */

/* Any thread, holding no lock. Takes one for a moment; does not block. */
void waker_wake(struct waker *w);

/* By who waits, before it looks for what it waits for. */
void waker_reset(struct waker *w);
bool waker_is_woken(const struct waker *w);

#endif
