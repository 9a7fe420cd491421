/* The closers. They are started once and stopped once, so the tests run in their order
 * and go on where the one before has left them. */
#include "pool/closer.h"

#include "tests/unit/pool_fixture.h"

enum { WORKERS = 2, CLOSERS = WORKERS + 1, PATIENCE = 30000 /* ms */ };

struct thing {
    struct closing closing;
    bool waits; /* for the gate */
};

static atomic_int begun, done;
static pthread_t main_thread;
static atomic_bool closed_here;

static void close_thing(struct closing *c)
{
    struct thing *t = (struct thing *)c;
    atomic_fetch_add(&begun, 1);
    atomic_store(&closed_here, pthread_equal(pthread_self(), main_thread) != 0);
    if (t->waits)
        pass_gate();
    free(t);
    atomic_fetch_add(&done, 1);
}

static void add(bool waits)
{
    struct thing *t = calloc(1, sizeof *t);
    *t = (struct thing){.closing = {.name = "/a.lua", .close = close_thing},
                        .waits = waits};
    closers_add(&t->closing);
}

static void wait_for(const atomic_int *number, int n)
{
    int64_t deadline = milliseconds() + PATIENCE;
    while (atomic_load(number) < n && milliseconds() < deadline)
        breathe();
    assert_int_equal(atomic_load(number), n);
}

static int begin(void **unused)
{
    (void)unused;
    atomic_store(&begun, 0);
    atomic_store(&done, 0);
    return 0;
}

static void without_closers_it_is_closed_here(void **unused)
{
    (void)unused;
    add(false);
    assert_int_equal(atomic_load(&done), 1);
    assert_true(atomic_load(&closed_here));
}

static void a_closer_closes_in_its_own_thread(void **unused)
{
    (void)unused;
    assert_true(closers_start(WORKERS));
    for (int i = 1; i <= 100; i++) {
        add(false);
        wait_for(&done, i);
        assert_false(atomic_load(&closed_here));
    }
}

/* The last one waits in the queue, for there is one closer more than workers. */
static void a_slow_one_holds_up_no_other_until_all_closers_are_busy(void **unused)
{
    (void)unused;
    set_gate(true);
    for (int i = 0; i < CLOSERS; i++) {
        add(true);
        wait_for(&begun, i + 1);
    }
    add(false);
    poll(NULL, 0, 50);
    assert_int_equal(atomic_load(&begun), CLOSERS);
    set_gate(false);
    wait_for(&done, CLOSERS + 1);
}

static void as_many_stuck_ones_are_replaced_as_there_are_workers(void **unused)
{
    (void)unused;
    static const struct watch_report report = {.role = WATCH_CLOSER, .name = "/a.lua"};
    set_gate(true);
    for (int i = 0; i < CLOSERS; i++)
        add(true);
    wait_for(&begun, CLOSERS);
    for (int i = 0; i < WORKERS; i++) {
        assert_true(closers_replace(&report));
        add(true);
        wait_for(&begun, CLOSERS + i + 1);
    }
    assert_false(closers_replace(&report));
    closers_mend(); /* nobody is missing */
    set_gate(false);
    wait_for(&done, CLOSERS + WORKERS);
}

static void a_stop_closes_what_is_left_and_says_whether_it_could(void **unused)
{
    (void)unused;
    set_gate(true);
    for (int i = 0; i < 20; i++)
        add(true);
    assert_false(closers_stop(20));
    set_gate(false);
    assert_true(closers_stop(PATIENCE));
    assert_int_equal(atomic_load(&done), 20);
}

#define IN_TURN(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TURN(without_closers_it_is_closed_here),
        IN_TURN(a_closer_closes_in_its_own_thread),
        IN_TURN(a_slow_one_holds_up_no_other_until_all_closers_are_busy),
        IN_TURN(as_many_stuck_ones_are_replaced_as_there_are_workers),
        IN_TURN(a_stop_closes_what_is_left_and_says_whether_it_could),
    };
    main_thread = pthread_self();
    return run_pool(tests);
}
