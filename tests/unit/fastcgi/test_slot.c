/* How a connection comes, is parked, and goes. */
#include "tests/unit/connection_fixture.h"

#include "fastcgi/slot.h"

static void closed_idle_connections_are_forgotten(void **state)
{
    struct scene *t = *state;
    int fds[50];
    start(&t->s);
    for (int i = 0; i < 50; i++) {
        fds[i] = must_dial(&t->s);
        ask(fds[i], true, "x", &t->r);
    }
    assert_int_equal(connections_count(t->s.set), 50);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    wait_until(connections_count(t->s.set) == 0);
}

/* The peer closes its side together with the request. */
static void a_half_closed_peer_is_served_and_then_forgotten(void **state)
{
    struct scene *t = *state;
    start(&t->s);
    for (int i = 0; i < 200; i++) {
        int fd = must_dial(&t->s);
        t->b.len = 0;
        put_head(&t->b, 1, true, "echo", 0);
        put_body(&t->b, 1, big_body, (size_t)i * 100, 1000);
        send_message(fd, &t->b);
        shutdown(fd, SHUT_WR);
        read_response(fd, &t->r);
        assert_true(t->r.ended);
        assert_closed(fd);
        close(fd);
    }
    wait_until(connections_count(t->s.set) == 0);
}

static void adopted_sockets_are_served(void **state)
{
    struct scene *t = *state;
    int pair[2];
    t->s.config.max_connections = 1;
    start_workers(&t->s, -1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(connections_adopt(t->s.set, pair[1]));
    assert_false(connections_adopt(t->s.set, pair[0]));
    ask(pair[0], true, "adopted", &t->r);
    assert_out(&t->r, "adopted");
    close(pair[0]);
    wait_until(connections_count(t->s.set) == 0);
}

/* As the heartbeat takes one that is late. Without it the workers would leave: nobody
 * else has anything to do. */
static void workers_stay_while_another_thread_has_a_connection(void **state)
{
    struct scene *t = *state;
    int pair[2];
    start_workers(&t->s, -1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(connections_adopt(t->s.set, pair[1]));
    struct connection *c = &t->s.set->table[0];
    slots_borrow(t->s.set);
    assert_true(slot_take_parked(c));
    connections_stop(t->s.set);
    for (int i = 0; i < 50; i++) {
        assert_true(slots_anyone_left(t->s.set));
        poll(NULL, 0, 1);
    }
    send_request(pair[0], false, "late");
    slot_defer(t->s.set, c);
    slots_return(t->s.set);
    read_response(pair[0], &t->r);
    assert_out(&t->r, "late");
    close(pair[0]);
    join_workers(&t->s);
    assert_false(slots_anyone_left(t->s.set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closed_idle_connections_are_forgotten),
        TEST(a_half_closed_peer_is_served_and_then_forgotten),
        TEST(adopted_sockets_are_served),
        TEST(workers_stay_while_another_thread_has_a_connection),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
