/* Connections from one request to the next, to the end of the server, and many at once.
 */
#include "tests/unit/connection_fixture.h"

/* -- Requests -- */

static void keeps_a_connection_for_many_requests(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    for (int i = 0; i < 200; i++) {
        ask(fd, true, "hello", &r);
        assert_out(&r, "hello");
    }
    assert_int_equal(connections_count(s.set), 1);
    ask(fd, false, "last", &r);
    assert_out(&r, "last");
    assert_closed(fd);
    wait_until(connections_count(s.set) == 0);
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void closes_when_the_server_will_not_keep(void **state)
{
    struct server s;
    struct response r = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    ask(fd, true, "refuse", &r);
    assert_out(&r, "refuse");
    assert_closed(fd);
    close(fd);
    stop(&s);
    drop(&r.out);
}

static void pipelined_requests_are_all_served(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    (void)state;
    default_config(&s);
    start(&s);
    int fd = must_dial(&s);
    enum { MANY = 300 };
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        put_head(&b, 1 + (unsigned)i, true, name, 0);
        put_body(&b, 1 + (unsigned)i, big_body, (size_t)i * 10, 100);
    }
    /* In pieces that have nothing to do with the requests. */
    for (size_t at = 0; at < b.len; at += 1777)
        send_all(fd, b.data + at, b.len - at < 1777 ? b.len - at : 1777);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        read_response(fd, &r);
        assert_out(&r, name);
        assert_int_equal(r.id, i + 1);
    }
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

/* -- Stopping -- */

static void stop_wakes_all_and_finishes_what_runs(void **state)
{
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        struct response r = {0};
        struct message b = {0};
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        s.config.worker_threads = MAX_WORKERS;
        start(&s);
        int idle = must_dial(&s), half = must_dial(&s), slow = must_dial(&s);
        int late = must_dial(&s);
        ask(idle, true, "x", &r);
        send_all(half, "\1\1", 2);
        put_head(&b, 1, true, "slow", 0);
        put_body(&b, 1, NULL, 0, 1);
        send_all(slow, b.data, b.len);
        wait_until(atomic_load(&s.in_slow) == 1);
        connections_stop(s.set);
        assert_closed(idle);
        assert_int_equal(dial(&s), -1);
        ask(late, true, "x", &r); /* who connected before is served */
        assert_closed(late);
        wait_until((connections_sweep(s.set, &s.config), connections_count(s.set) == 1));
        assert_closed(half);
        atomic_store(&s.gate, true);
        read_response(slow, &r);
        assert_out(&r, "slow");
        assert_closed(slow);
        for (int i = 0; i < s.workers; i++)
            pthread_join(s.threads[i], NULL);
        assert_int_equal(connections_count(s.set), 0);
        connections_destroy(s.set);
        listener_unlink();
        close(idle);
        close(half);
        close(slow);
        close(late);
        drop(&r.out);
        drop(&b);
    }
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
    enum { CLIENTS = 64, REQUESTS = 60 };
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        struct server s;
        pthread_t threads[CLIENTS];
        struct client clients[CLIENTS];
        default_config(&s);
        char any[] = "127.0.0.1:0";
        if (tcp)
            s.config.listen = any;
        s.config.worker_threads = 4;
        s.config.max_connections = 256;
        start(&s);
        for (unsigned i = 0; i < CLIENTS; i++) {
            clients[i] = (struct client){&s, i * 77 + 1, REQUESTS};
            assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]),
                             0);
        }
        for (int i = 0; i < CLIENTS; i++) {
            connections_sweep(s.set, &s.config);
            pthread_join(threads[i], NULL);
        }
        assert_int_equal(atomic_load(&s.served), CLIENTS * REQUESTS);
        wait_until(connections_count(s.set) == 0);
        stop(&s);
    }
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

/* A client that always has the next request there does not keep others out. */
static void an_endless_pipeline_starves_nobody(void **state)
{
    struct server s;
    struct response r = {0};
    struct message b = {0};
    pthread_t writer, reader;
    (void)state;
    default_config(&s);
    s.config.worker_threads = 1;
    start(&s);
    for (int i = 0; i < FLOOD; i++) {
        put_head(&b, 1, true, "x", 0);
        put_body(&b, 1, NULL, 0, 1);
    }
    int flood = must_dial(&s), fd = must_dial(&s);
    struct pour p = {flood, &b};
    ask(fd, true, "warm", &r);
    assert_int_equal(pthread_create(&writer, NULL, pour, &p), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_flood, &flood), 0);
    wait_until(atomic_load(&s.served) > 100);
    ask(fd, true, "other", &r);
    assert_out(&r, "other");
    assert_true(atomic_load(&s.served) < FLOOD);
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    assert_int_equal(atomic_load(&s.served), FLOOD + 2);
    close(flood);
    close(fd);
    stop(&s);
    drop(&r.out);
    drop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_connection_for_many_requests),
        cmocka_unit_test(closes_when_the_server_will_not_keep),
        cmocka_unit_test(pipelined_requests_are_all_served),
        cmocka_unit_test(stop_wakes_all_and_finishes_what_runs),
        cmocka_unit_test(many_clients_at_once),
        cmocka_unit_test(an_endless_pipeline_starves_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
