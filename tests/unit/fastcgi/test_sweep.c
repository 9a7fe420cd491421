/* Deadlines of connections that no worker has. */
#include "tests/unit/connection_fixture.h"

static void sweep_closes_late_heads_and_idle_connections(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    int silent = must_dial(&t->s), half = must_dial(&t->s), idle = must_dial(&t->s);
    put_head(&t->b, 1, true, "x", 0);
    send_all(half, t->b.data, t->b.len / 2);
    ask(idle, true, "idle", &t->r);
    wait_until(connections_count(t->s.set) == 3);
    connections_tick(t->s.set, &t->s.config);
    assert_int_equal(connections_count(t->s.set), 3);

    t->s.config.keep_alive_timeout = 20;
    wait_until(
        (connections_tick(t->s.set, &t->s.config), connections_count(t->s.set) == 2));
    assert_closed(idle);
    t->s.config.read_timeout = 20;
    wait_until(
        (connections_tick(t->s.set, &t->s.config), connections_count(t->s.set) == 0));
    assert_closed(silent);
    assert_closed(half);
    close(idle);
    close(silent);
    close(half);
}

/* Its bytes keep coming, but its time does not begin again with each of them. */
static void a_trickling_head_is_closed_all_the_same(void **state)
{
    struct scene *t = *state;
    t->s.config.read_timeout = 100;
    int fd = begin(t);
    put_head(&t->b, 1, true, "a long name that takes a while to come, byte by byte", 200);
    int64_t began = now_ms();
    size_t sent = 0;
    while (sent < t->b.len && send(fd, t->b.data + sent, 1, MSG_NOSIGNAL) == 1) {
        sent++;
        connections_tick(t->s.set, &t->s.config);
        poll(NULL, 0, 5);
        assert_true(now_ms() - began < PATIENCE);
    }
    assert_true(sent < t->b.len);
    assert_int_equal(atomic_load(&t->s.served), 0);
}

static void a_zero_timeout_closes_nothing(void **state)
{
    struct scene *t = *state;
    t->s.config.read_timeout = t->s.config.keep_alive_timeout = 0;
    start(&t->s);
    int fd = must_dial(&t->s), silent = must_dial(&t->s);
    ask(fd, true, "x", &t->r);
    wait_until(connections_count(t->s.set) == 2);
    poll(NULL, 0, 20);
    connections_tick(t->s.set, &t->s.config);
    assert_int_equal(connections_count(t->s.set), 2);
    ask(fd, true, "y", &t->r);
    assert_out(&t->r, "y");
    close(fd);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sweep_closes_late_heads_and_idle_connections),
        TEST(a_trickling_head_is_closed_all_the_same),
        TEST(a_zero_timeout_closes_nothing),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
