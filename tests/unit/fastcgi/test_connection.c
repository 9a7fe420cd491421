/* Connections over many requests and until the server stops, and many of them at once. */
#include "tests/unit/connection_fixture.h"

/* -- Requests -- */

static void keeps_a_connection_for_many_requests(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    for (int i = 0; i < 200; i++) {
        ask(fd, true, "hello", &t->r);
        assert_out(&t->r, "hello");
    }
    assert_int_equal(connections_count(t->s.set), 1);
    ask(fd, false, "last", &t->r);
    assert_out(&t->r, "last");
    assert_closed(fd);
    wait_until(connections_count(t->s.set) == 0);
}

static void closes_when_the_server_will_not_keep(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    ask(fd, true, "refuse", &t->r);
    assert_out(&t->r, "refuse");
    assert_closed(fd);
}

static void pipelined_requests_are_all_served(void **state)
{
    struct scene *t = *state;
    int fd = begin(t);
    enum { MANY = 300 };
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        put_head(&t->b, 1 + (unsigned)i, true, name, 0);
        put_body(&t->b, 1 + (unsigned)i, big_body, (size_t)i * 10, 100);
    }
    /* In pieces that do not begin or end where requests do. */
    for (size_t at = 0; at < t->b.len; at += 1777)
        send_all(fd, t->b.data + at, t->b.len - at < 1777 ? t->b.len - at : 1777);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        read_response(fd, &t->r);
        assert_out(&t->r, name);
        assert_int_equal(t->r.id, i + 1);
    }
}

/* -- Stopping -- */

static void stop_wakes_all_and_finishes_what_runs(void **state)
{
    struct scene *t = *state;
    t->s.config.worker_threads = MAX_WORKERS;
    start(&t->s);
    int idle = must_dial(&t->s), half = must_dial(&t->s), slow = must_dial(&t->s);
    int late = must_dial(&t->s);
    ask(idle, true, "x", &t->r);
    send_all(half, "\1\1", 2);
    send_request(slow, true, "slow");
    wait_until(atomic_load(&t->s.in_slow) == 1);
    connections_stop(t->s.set);
    assert_closed(idle);
    assert_int_equal(dial(&t->s), -1);
    ask(late, true, "x", &t->r); /* a client that connected before is served */
    assert_closed(late);
    wait_until(
        (connections_tick(t->s.set, &t->s.config), connections_count(t->s.set) == 1));
    assert_closed(half);
    atomic_store(&t->s.gate, true);
    read_response(slow, &t->r);
    assert_out(&t->r, "slow");
    assert_closed(slow);
    join_workers(&t->s);
    assert_int_equal(connections_count(t->s.set), 0);
    finish(&t->s);
    close(idle);
    close(half);
    close(slow);
    close(late);
}

/* -- Many at once -- */

struct client {
    struct server *s;
    unsigned seed;
    int requests;
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

static void *run_client(void *arg)
{
    struct client *me = arg;
    struct response r = {0};
    struct message b = {0};
    int fd = -1;
    for (int i = 0; i < me->requests; i++) {
        bool keep = next_random(&me->seed) % 4 != 0;
        size_t body = next_random(&me->seed) % 4 ? next_random(&me->seed) % 300
                                                 : next_random(&me->seed) % 50000;
        fd = fd >= 0 ? fd : must_dial(me->s);
        b.len = 0;
        bool echo = next_random(&me->seed) % 2;
        put_head(&b, 1, keep, echo ? "echo" : "ignore", 0);
        put_body(&b, 1, big_body, body, 1 + next_random(&me->seed) % 9000);
        size_t cut = next_random(&me->seed) % 3 ? b.len : next_random(&me->seed) % b.len;
        send_all(fd, b.data, cut);
        sched_yield();
        send_all(fd, b.data + cut, b.len - cut);
        read_response(fd, &r);
        assert_true(r.ended);
        assert_int_equal(r.out.len, echo ? body : 7);
        if (!keep) {
            assert_closed(fd);
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    drop(&r.out);
    drop(&b);
    return NULL;
}

static void many_clients_at_once(void **state)
{
    struct scene *t = *state;
    enum { CLIENTS = 64, REQUESTS = 60 };
    pthread_t threads[CLIENTS];
    struct client clients[CLIENTS];
    t->s.config.worker_threads = 4;
    t->s.config.max_connections = 256;
    start(&t->s);
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){&t->s, i * 77 + 1, REQUESTS};
        assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        connections_tick(t->s.set, &t->s.config);
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&t->s.served), CLIENTS * REQUESTS);
    wait_until(connections_count(t->s.set) == 0);
}

enum { FLOOD = 20000 };

static void *read_flood(void *arg)
{
    int fd = *(int *)arg;
    struct response r = {0};
    for (int i = 0; i < FLOOD; i++) {
        read_response(fd, &r);
        assert_true(r.ended);
    }
    drop(&r.out);
    return NULL;
}

/* A client whose next request is always there does not keep other clients waiting. */
static void an_endless_pipeline_starves_nobody(void **state)
{
    struct scene *t = *state;
    pthread_t writer, reader;
    t->s.config.worker_threads = 1;
    start(&t->s);
    for (int i = 0; i < FLOOD; i++) {
        put_head(&t->b, 1, true, "x", 0);
        put_body(&t->b, 1, NULL, 0, 1);
    }
    int flood = must_dial(&t->s), fd = must_dial(&t->s);
    struct pour p = {flood, &t->b};
    ask(fd, true, "warm", &t->r);
    assert_int_equal(pthread_create(&writer, NULL, pour, &p), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_flood, &flood), 0);
    wait_until(atomic_load(&t->s.served) > 100);
    ask(fd, true, "other", &t->r);
    assert_out(&t->r, "other");
    assert_true(atomic_load(&t->s.served) < FLOOD);
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    assert_int_equal(atomic_load(&t->s.served), FLOOD + 2);
    close(flood);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_a_connection_for_many_requests),
        TEST(closes_when_the_server_will_not_keep),
        TEST(pipelined_requests_are_all_served),
        TEST_BOTH(stop_wakes_all_and_finishes_what_runs),
        TEST_BOTH(many_clients_at_once),
        TEST(an_endless_pipeline_starves_nobody),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
