/* Deadlines of connections that no worker has. */
#include "tests/unit/connection_fixture.h"

static void sweep_closes_late_heads_and_idle_connections(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int silent = must_dial(&s), half = must_dial(&s), idle = must_dial(&s);
    put_head(&b, 1, true, "x", 0);
    send_all(half, b.data, b.len / 2);
    ask(idle, true, "idle", &r);
    wait_until(connections_count(s.set) == 3);
    connections_sweep(s.set, &s.config);
    assert_int_equal(connections_count(s.set), 3);

    s.config.keep_alive_timeout = 20;
    wait_until((connections_sweep(s.set, &s.config), connections_count(s.set) == 2));
    assert_closed(idle);
    s.config.read_timeout = 20;
    wait_until((connections_sweep(s.set, &s.config), connections_count(s.set) == 0));
    assert_closed(silent);
    assert_closed(half);
    close(idle);
    close(silent);
    close(half);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* Its bytes keep coming; its time does not begin again with each. */
static void a_trickling_head_is_closed_all_the_same(void **state)
{
    struct server s;
    struct message b = {0};
    (void)state;
    default_config(&s);
    s.config.read_timeout = 100;
    start(&s);
    int fd = must_dial(&s);
    put_head(&b, 1, true, "a long name that takes a while to come, byte by byte", 200);
    int64_t began = now_ms();
    size_t sent = 0;
    while (sent < b.len && send(fd, b.data + sent, 1, MSG_NOSIGNAL) == 1) {
        sent++;
        connections_sweep(s.set, &s.config);
        poll(NULL, 0, 5);
        assert_true(now_ms() - began < PATIENCE);
    }
    assert_true(sent < b.len);
    assert_int_equal(atomic_load(&s.served), 0);
    close(fd);
    stop(&s);
    drop(&b);
}

static void a_zero_timeout_closes_nothing(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    s.config.read_timeout = s.config.keep_alive_timeout = 0;
    start(&s);
    int fd = must_dial(&s), silent = must_dial(&s);
    ask(fd, true, "x", &r);
    wait_until(connections_count(s.set) == 2);
    poll(NULL, 0, 20);
    connections_sweep(s.set, &s.config);
    assert_int_equal(connections_count(s.set), 2);
    ask(fd, true, "y", &r);
    assert_out(&r, "y");
    close(fd);
    close(silent);
    stop(&s);
    drop(&r.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweep_closes_late_heads_and_idle_connections),
        cmocka_unit_test(a_trickling_head_is_closed_all_the_same),
        cmocka_unit_test(a_zero_timeout_closes_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
