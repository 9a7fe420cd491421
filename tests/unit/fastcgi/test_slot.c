/* A connection comes, is parked, and is forgotten. */
#include "tests/unit/connection_fixture.h"

static void closed_idle_connections_are_forgotten(void **state)
{
    struct server s;
    struct response r = {0};
    int fds[50];
    (void)state;
    default_config(&s);
    start(&s);
    for (int i = 0; i < 50; i++) {
        fds[i] = must_dial(&s);
        ask(fds[i], true, "x", &r);
    }
    assert_int_equal(connections_count(s.set), 50);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    wait_until(connections_count(s.set) == 0);
    stop(&s);
    drop(&r.out);
}

/* The end of the peer's side comes together with the request. */
static void a_half_closed_peer_is_served_and_then_forgotten(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    for (int i = 0; i < 200; i++) {
        int fd = must_dial(&s);
        b.len = 0;
        put_head(&b, 1, true, "echo", 0);
        put_body(&b, 1, big_body, (size_t)i * 100, 1000);
        send_all(fd, b.data, b.len);
        shutdown(fd, SHUT_WR);
        read_response(fd, &r);
        assert_true(r.ended);
        assert_closed(fd);
        close(fd);
    }
    wait_until(connections_count(s.set) == 0);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

static void adopted_sockets_are_served(void **state)
{
    struct server s;
    struct response r = {0};
    int pair[2];
    (void)state;
    default_config(&s);
    s.config.max_connections = 1;
    start_workers(&s, -1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(connections_adopt(s.set, pair[1]));
    assert_false(connections_adopt(s.set, pair[0]));
    ask(pair[0], true, "adopted", &r);
    assert_out(&r, "adopted");
    close(pair[0]);
    wait_until(connections_count(s.set) == 0);
    stop(&s);
    drop(&r.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_idle_connections_are_forgotten),
        cmocka_unit_test(a_half_closed_peer_is_served_and_then_forgotten),
        cmocka_unit_test(adopted_sockets_are_served),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
