/* Which connections are accepted, and which are closed to make room for others. */
#include "tests/unit/connection_fixture.h"

#include "base/reserve.h"

static void silent_and_half_heads_hold_no_worker(void **state)
{
    struct scene *t = *state;
    int fds[60];
    t->s.config.worker_threads = 1;
    start(&t->s);
    put_head(&t->b, 1, true, "x", 0);
    for (int i = 0; i < 60; i++) {
        fds[i] = must_dial(&t->s);
        send_all(fds[i], t->b.data, (size_t)i % 20);
    }
    int fd = must_dial(&t->s);
    for (int i = 0; i < 100; i++) {
        ask(fd, true, "healthy", &t->r);
        assert_out(&t->r, "healthy");
    }
    close(fd);
    for (int i = 0; i < 60; i++)
        close(fds[i]);
}

static void the_longest_idle_makes_room(void **state)
{
    struct scene *t = *state;
    int fds[8];
    t->s.config.max_connections = 8;
    start(&t->s);
    fds[0] = must_dial(&t->s); /* never sends: not the first to go */
    wait_until(connections_count(t->s.set) == 1);
    for (int i = 1; i < 8; i++) {
        fds[i] = must_dial(&t->s);
        ask(fds[i], true, "x", &t->r);
        int64_t next = now_ms() + 12; /* the coarse clock moves */
        wait_until(now_ms() > next);
    }
    int fd = must_dial(&t->s);
    ask(fd, true, "new", &t->r);
    assert_out(&t->r, "new");
    wait_until(is_closed(fds[1]));
    for (int i = 0; i < 8; i++) {
        assert_int_equal(is_closed(fds[i]), i == 1);
        close(fds[i]);
    }
    close(fd);
}

static void half_heads_make_room_for_the_healthy(void **state)
{
    struct scene *t = *state;
    int fds[100];
    t->s.config.max_connections = 4;
    start(&t->s);
    for (int i = 0; i < 100; i++) {
        fds[i] = must_dial(&t->s);
        send(fds[i], "\1", 1, MSG_NOSIGNAL);
    }
    int fd = must_dial(&t->s);
    ask(fd, true, "healthy", &t->r);
    assert_out(&t->r, "healthy");
    assert_true(connections_count(t->s.set) <= 4);
    close(fd);
    for (int i = 0; i < 100; i++)
        close(fds[i]);
}

/* All connections are busy, so none may be closed: new ones wait in the backlog until a
 * request is done. */
static void busy_connections_are_never_closed_for_room(void **state)
{
    struct scene *t = *state;
    t->s.config.max_connections = 2;
    t->s.config.worker_threads = 3;
    start(&t->s);
    int busy[2], fd;
    for (int i = 0; i < 2; i++) {
        busy[i] = must_dial(&t->s);
        send_request(busy[i], false, "slow");
    }
    wait_until(atomic_load(&t->s.in_slow) == 2);
    fd = must_dial(&t->s);
    send_request(fd, false, "waited");
    poll(NULL, 0, 150); /* several retries */
    assert_false(is_closed(busy[0]) || is_closed(busy[1]) || is_closed(fd));
    assert_int_equal(connections_count(t->s.set), 2);
    atomic_store(&t->s.gate, true);
    for (int i = 0; i < 2; i++) {
        read_response(busy[i], &t->r);
        assert_out(&t->r, "slow");
        close(busy[i]);
    }
    read_response(fd, &t->r);
    assert_out(&t->r, "waited");
    close(fd);
}

/* Runs in a process of its own, because it sets the process's limit. All descriptors are
 * in use while clients wait in the backlog, and no event tells of them again. They are
 * served once there are descriptors. */
static int starve(void)
{
    struct server s;
    struct response r = {0};
    int held[256], n = 0, fds[20];
    default_config(&s);
    start(&s);
    int kept = must_dial(&s);
    ask(kept, true, "first", &r);
    for (int i = 0; i < 20; i++)
        fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
    struct rlimit limit = {128, 128};
    setrlimit(RLIMIT_NOFILE, &limit);
    while (n < 256 && (held[n] = dup(0)) >= 0)
        n++;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", s.path);
    struct message b = {0};
    put_head(&b, 1, true, "starved", 0);
    put_body(&b, 1, NULL, 0, 1);
    for (int i = 0; i < 20; i++) {
        if (connect(fds[i], (struct sockaddr *)&to, sizeof to) != 0)
            return 1;
        send(fds[i], b.data, b.len, MSG_NOSIGNAL);
    }
    /* The idle connection makes room for one at a time; then that one is idle. */
    int64_t deadline = now_ms() + PATIENCE;
    while (atomic_load(&s.served) < 2) {
        if (now_ms() > deadline)
            return 2;
        poll(NULL, 0, 1);
    }
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    poll(NULL, 0, 500);
    getrusage(RUSAGE_SELF, &after);
    int64_t spent = (after.ru_utime.tv_sec - before.ru_utime.tv_sec +
                     after.ru_stime.tv_sec - before.ru_stime.tv_sec) *
                        1000000 +
                    after.ru_utime.tv_usec - before.ru_utime.tv_usec +
                    after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    if (spent > 250000)
        return 3; /* it spins */
    while (n > 0)
        close(held[--n]);
    unsigned answered = 0, closed = 0;
    for (int i = 0; i < 20; i++) {
        read_response(fds[i], &r);
        answered += r.ended;
        closed += r.closed;
        close(fds[i]);
    }
    drop(&r.out);
    drop(&b);
    close(kept);
    stop(&s);
    return answered + closed == 20 && answered >= 15 ? 0 : 4;
}

static void without_descriptors_it_waits_and_recovers(void **state)
{
    (void)state;
    run_myself("starve");
}

/* In a process of its own, too. With no descriptor left the listening socket must not
 * stay open: who connects would wait for nothing until the last request is over. */
static int stop_starved(void)
{
    struct server s;
    default_config(&s);
    start(&s);
    reserve_fill();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", s.path);
    struct rlimit limit = {128, 128};
    setrlimit(RLIMIT_NOFILE, &limit);
    while (dup(0) >= 0) {
    }
    connections_stop(s.set);
    bool refused = connect(fd, (struct sockaddr *)&to, sizeof to) != 0;
    finish(&s);
    return refused ? 0 : 1;
}

static void without_descriptors_a_stop_refuses_all_the_same(void **state)
{
    (void)state;
    run_myself("stop_starved");
}

static void only_listed_web_servers_may_connect(void **state)
{
    struct scene *t = *state;
    static const struct {
        const char *list;
        bool allowed;
    } rows[] = {{"127.0.0.1", true},
                {"10.0.0.1, ::ffff:127.0.0.1", true},
                {"10.0.0.1,10.0.0.2", false},
                {"nonsense", false}};
    put_head(&t->b, 1, false, "x", 0);
    put_body(&t->b, 1, NULL, 0, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct server s;
        default_config(&s);
        s.config.listen = any_port;
        setenv("FCGI_WEB_SERVER_ADDRS", rows[i].list, 1);
        start(&s);
        unsetenv("FCGI_WEB_SERVER_ADDRS");
        int fd = must_dial(&s);
        send(fd, t->b.data, t->b.len, MSG_NOSIGNAL);
        read_response(fd, &t->r);
        assert_int_equal(t->r.ended, rows[i].allowed);
        close(fd);
        stop(&s);
    }
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1) {
        prepare(NULL);
        return strcmp(argv[1], "starve") == 0 ? starve() : stop_starved();
    }
    const struct CMUnitTest tests[] = {
        TEST(silent_and_half_heads_hold_no_worker),
        TEST(the_longest_idle_makes_room),
        TEST(half_heads_make_room_for_the_healthy),
        TEST(busy_connections_are_never_closed_for_room),
        TEST(without_descriptors_it_waits_and_recovers),
        TEST(without_descriptors_a_stop_refuses_all_the_same),
        TEST(only_listed_web_servers_may_connect),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
