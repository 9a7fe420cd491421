/* Deadlines of threads that may hang: who gets a signal, and who is reported. */
#include "base/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/deadline.h"

enum {
    PATIENCE = 30000, /* ms until a test that waits has failed */
    LONG = 3600000,   /* ms */
    MANY = 40,        /* more than are reported at one look */
};

#define wait_until(condition)                                                            \
    do {                                                                                 \
        int64_t deadline_ = clock_milliseconds() + PATIENCE;                             \
        while (!(condition)) {                                                           \
            assert_true(clock_milliseconds() < deadline_);                               \
            poll(NULL, 0, 1);                                                            \
        }                                                                                \
    } while (0)

static _Thread_local int own_id;
static atomic_uint late[MANY]; /* calls of `late` in the thread of that id */

static int reports, reported[MANY]; /* calls of `stuck`; for the thread of that id */
static struct watch_report last;

static void note_late(void)
{
    atomic_fetch_add(&late[own_id], 1);
}

static void note_stuck(const struct watch_report *report)
{
    reports++;
    reported[report->id]++;
    last = *report;
}

static int forget(void **state)
{
    (void)state;
    reports = 0;
    memset(reported, 0, sizeof reported);
    for (int i = 0; i < MANY; i++)
        atomic_store(&late[i], 0);
    return 0;
}

/* A test that failed leaves its own. */
static int destroy(void **state)
{
    (void)state;
    watch_destroy();
    return 0;
}

static void be_late(void)
{
    watch_begin(1);
    wait_until(watch_time_left() == 0);
}

/* Late by so many milliseconds at least. */
static void be_late_by(int64_t time)
{
    be_late();
    uint32_t since = clock_ticks();
    wait_until(clock_ticks() - since >= time);
}

/* -- The clock -- */

static void a_thread_without_a_watch_has_no_limit(void **state)
{
    (void)state;
    watch_begin(1);
    watch_pause();
    watch_resume();
    watch_set_name("a.lua", false);
    watch_note_script("a.lua");
    watch_forgive();
    assert_int_equal(watch_time_left(), -1);
    assert_int_equal(watch_paused(), 0);
    assert_false(watch_was_stuck());
    watch_end();
    watch_destroy();
    watch_check(1, note_stuck);
    assert_int_equal(reports, 0);
}

static void time_runs_from_begin_to_end(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_WORKER, 1));
    assert_int_equal(watch_time_left(), -1);
    watch_begin(0);
    assert_int_equal(watch_time_left(), -1);
    watch_begin(LONG);
    assert_in_range(watch_time_left(), LONG - PATIENCE, LONG);
    wait_until(watch_time_left() < LONG);
    watch_end();
    assert_int_equal(watch_time_left(), -1);
    be_late_by(20);
    assert_int_equal(watch_time_left(), 0);
}

static void the_clock_stands_still_during_a_pause(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_WORKER, 1));
    uint32_t began = clock_ticks();
    watch_begin(LONG);
    for (uint32_t i = 1; i <= 2; i++) {
        watch_pause();
        uint32_t since = clock_ticks();
        wait_until(clock_ticks() - since >= 40);
        watch_resume();
        assert_true(watch_paused() >= i * 40);
    }
    int64_t left = watch_time_left();
    uint32_t ran = clock_ticks() - began - watch_paused();
    assert_true(left >= LONG - (int64_t)ran && left <= LONG);
}

static void nobody_is_late_during_a_pause(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_SWEEPER, 1));
    be_late();
    watch_pause();
    watch_check(1, note_stuck);
    assert_int_equal(reports, 0);
    watch_resume();
    watch_check(1, note_stuck);
    assert_int_equal(reports, 1);
}

static void a_pause_without_a_limit_sets_none(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_WORKER, 1));
    watch_begin(LONG);
    watch_end();
    watch_pause();
    watch_resume();
    assert_int_equal(watch_time_left(), -1);
}

/* -- Reports -- */

static void who_is_in_time_is_not_reported(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_SWEEPER, 1));
    watch_check(1, note_stuck);
    watch_begin(LONG);
    watch_check(1, note_stuck);
    be_late();
    watch_end();
    watch_check(1, note_stuck);
    be_late();
    watch_destroy();
    watch_check(1, note_stuck);
    assert_int_equal(reports, 0);
}

static void who_waits_for_a_device_is_reported_as_soon_as_it_is_late(void **state)
{
    (void)state;
    static const enum watch_role roles[] = {WATCH_SWEEPER, WATCH_SAVER};
    for (int i = 0; i < 2; i++) {
        assert_true(watch_create(roles[i], 7 + i));
        watch_set_name("/srv/a.lua", true);
        watch_begin(1);
        watch_set_name("/srv/b.lua", true);
        wait_until(watch_time_left() == 0);
        watch_check(i == 0 ? 0 : LONG, note_stuck);
        assert_int_equal(reports, i + 1);
        assert_int_equal(last.role, roles[i]);
        assert_int_equal(last.id, 7 + i);
        assert_true(last.reading);
        assert_string_equal(last.name, "/srv/b.lua");
        watch_destroy();
    }
}

/* That could break off what it does. */
static void who_waits_for_a_device_gets_no_signal(void **state)
{
    (void)state;
    sigset_t pending;
    own_id = 1;
    assert_true(watch_create(WATCH_SAVER, 1));
    be_late();
    watch_check(0, note_stuck);
    assert_int_equal(atomic_load(&late[1]), 0);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGVTALRM), 0);
}

static void a_script_is_reported_after_the_watchdogs_time(void **state)
{
    (void)state;
    static const enum watch_role roles[] = {WATCH_WORKER, WATCH_CLOSER};
    for (int i = 0; i < 2; i++) {
        assert_true(watch_create(roles[i], 1));
        be_late_by(20);
        watch_check(20, note_stuck); /* it has not had its signal yet */
        watch_check(0, note_stuck);  /* never */
        assert_int_equal(reports, i);
        wait_until((watch_check(20, note_stuck), reports == i + 1));
        assert_int_equal(last.role, roles[i]);
        watch_destroy();
    }
}

static void a_report_comes_once_until_it_is_forgiven(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_SWEEPER, 1));
    assert_false(watch_was_stuck());
    be_late();
    for (int i = 0; i < 3; i++)
        watch_check(1, note_stuck);
    assert_int_equal(reports, 1);
    assert_true(watch_was_stuck());
    watch_forgive();
    assert_false(watch_was_stuck());
    watch_check(1, note_stuck);
    assert_int_equal(reports, 2);
}

/* -- Names -- */

/* The name in a report of this thread, and whether it reads. */
static void assert_named(const char *name, bool reading)
{
    watch_forgive();
    watch_check(0, note_stuck);
    assert_true(watch_was_stuck());
    assert_string_equal(last.name, name);
    assert_int_equal(last.reading, reading);
}

static void the_first_name_of_a_script_stays(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_SWEEPER, 1));
    be_late();
    assert_named("", false);
    watch_note_script("a.lua");
    watch_note_script("b.lua");
    assert_named("a.lua", false);
    watch_set_name("c", true);
    watch_note_script("b.lua");
    assert_named("c", true);
    watch_set_name(NULL, false);
    assert_named("", false);
    watch_note_script("d.lua");
    assert_named("d.lua", false);
    be_late();
    assert_named("", false);
}

static void a_long_name_is_cut_at_the_front(void **state)
{
    (void)state;
    char name[WATCH_NAME + 8];
    memset(name, 'x', sizeof name);
    memcpy(name + sizeof name - 7, "/a.lua", 7);
    assert_true(watch_create(WATCH_SWEEPER, 1));
    be_late();
    for (size_t skip = 0; skip < 12; skip++) {
        size_t cut = skip < 8 ? 8 : skip;
        watch_set_name(name + skip, false);
        assert_named(name + cut, false);
    }
}

/* -- Other threads -- */

struct sleeper {
    pthread_t thread;
    enum watch_role role;
    int id;
    bool late; /* it will be */
    int pipe[2];
    int error;         /* of the read in which it waited */
    atomic_bool ready; /* is late, or has begun */
};

static void *sleep_on(void *arg)
{
    struct sleeper *s = arg;
    char byte;
    own_id = s->id;
    if (!watch_create(s->role, s->id))
        return NULL;
    watch_begin(s->late ? 1 : LONG);
    while (s->late && watch_time_left() > 0)
        poll(NULL, 0, 1);
    atomic_store(&s->ready, true);
    s->error = read(s->pipe[0], &byte, 1) < 0 ? errno : 0;
    watch_destroy();
    return NULL;
}

/* As the daemon starts threads: with every signal blocked. */
static void start(struct sleeper *s, enum watch_role role, int id, bool is_late)
{
    sigset_t all, before;
    *s = (struct sleeper){.role = role, .id = id, .late = is_late};
    assert_int_equal(pipe(s->pipe), 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    assert_int_equal(pthread_create(&s->thread, NULL, sleep_on, s), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    wait_until(atomic_load(&s->ready));
}

static void finish(struct sleeper *s)
{
    close(s->pipe[1]);
    pthread_join(s->thread, NULL);
    close(s->pipe[0]);
}

/* It comes back from the call in which it waits, too. Looks come before that call as
 * well, so there are several. */
static void only_a_late_script_gets_a_signal(void **state)
{
    (void)state;
    struct sleeper worker, closer, other, saver;
    start(&worker, WATCH_WORKER, 1, true);
    start(&closer, WATCH_CLOSER, 2, true);
    start(&other, WATCH_WORKER, 3, false);
    start(&saver, WATCH_SAVER, 4, true);
    struct sleeper *const broken_off[] = {&worker, &closer};
    for (int i = 0; i < 2; i++) {
        int64_t deadline = clock_milliseconds() + PATIENCE;
        while (pthread_tryjoin_np(broken_off[i]->thread, NULL) != 0) {
            assert_true(clock_milliseconds() < deadline);
            watch_check(0, note_stuck);
            poll(NULL, 0, 1);
        }
        assert_int_equal(broken_off[i]->error, EINTR);
        assert_true(atomic_load(&late[broken_off[i]->id]) > 0);
        close(broken_off[i]->pipe[0]);
        close(broken_off[i]->pipe[1]);
    }
    finish(&other);
    finish(&saver);
    assert_int_equal(other.error, 0);
    assert_int_equal(saver.error, 0);
    assert_int_equal(atomic_load(&late[3]), 0);
    assert_int_equal(atomic_load(&late[4]), 0);
    assert_int_equal(reports, 1);
    assert_int_equal(reported[4], 1);
}

static void a_signal_from_elsewhere_stops_nobody(void **state)
{
    (void)state;
    struct sleeper worker;
    start(&worker, WATCH_WORKER, 1, false);
    int64_t deadline = clock_milliseconds() + PATIENCE;
    while (pthread_tryjoin_np(worker.thread, NULL) != 0) {
        assert_true(clock_milliseconds() < deadline);
        pthread_kill(worker.thread, SIGVTALRM);
        poll(NULL, 0, 1);
    }
    assert_int_equal(atomic_load(&late[1]), 0);
    close(worker.pipe[0]);
    close(worker.pipe[1]);
}

static void each_of_many_is_reported_once(void **state)
{
    (void)state;
    static struct sleeper sleepers[MANY];
    for (int i = 0; i < MANY; i++)
        start(&sleepers[i], WATCH_SWEEPER, i, true);
    for (int i = 0; i < MANY; i++)
        watch_check(0, note_stuck);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(reported[i], 1);
        finish(&sleepers[i]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, forget, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thread_without_a_watch_has_no_limit),
        TEST(time_runs_from_begin_to_end),
        TEST(the_clock_stands_still_during_a_pause),
        TEST(nobody_is_late_during_a_pause),
        TEST(a_pause_without_a_limit_sets_none),
        TEST(who_is_in_time_is_not_reported),
        TEST(who_waits_for_a_device_is_reported_as_soon_as_it_is_late),
        TEST(who_waits_for_a_device_gets_no_signal),
        TEST(a_script_is_reported_after_the_watchdogs_time),
        TEST(a_report_comes_once_until_it_is_forgiven),
        TEST(the_first_name_of_a_script_stays),
        TEST(a_long_name_is_cut_at_the_front),
        TEST(only_a_late_script_gets_a_signal),
        TEST(a_signal_from_elsewhere_stops_nobody),
        TEST(each_of_many_is_reported_once),
    };
    watch_init(note_late, note_late);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
