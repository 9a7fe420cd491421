/* Exchanges: one is served, changes threads in the middle, and leaves nothing behind in
 * the thread that lays it down. */
#include "daemon/exchange.h"

#include "base/clock.h"
#include "base/watch.h"
#include "daemon/activity.h"
#include "daemon/counters.h"
#include "tests/unit/daemon_fixture.h"

/* What a worker has. Each test's thread is one, and starts others. */
struct hand {
    struct exchange_worker own;
    struct exchanges kept;
};

static struct hand hand;

static void begin_hand(struct hand *h, int id)
{
    *h = (struct hand){.own = {.id = id}};
    log_set_worker(id);
    directory_make_own(&h->own.directory);
    h->own.reader = connection_reader_create(service.connections);
    assert_non_null(h->own.reader);
    assert_true(exchanges_open(&h->kept, &service));
    assert_non_null(h->own.counters = counters_create());
    assert_non_null(h->own.activity = activity_create(id, h->own.counters));
    assert_true(watch_create(WATCH_WORKER, id));
}

static void end_hand(struct hand *h)
{
    watch_destroy();
    counters_destroy(h->own.counters);
    activity_destroy(h->own.activity);
    exchanges_close(&h->kept);
    connection_reader_destroy(h->own.reader);
    directory_release(&h->own.directory);
}

static int open_all(void **state)
{
    open_service(state);
    begin_hand(&hand, 1);
    return 0;
}

static int close_all(void **state)
{
    end_hand(&hand);
    assert_int_equal(chdir("/"), 0); /* the one that it is in goes */
    return close_service(state);
}

/* -- Steps -- */

static struct exchange *open_next(struct hand *h)
{
    struct connection *c = connection_wait(service.connections, h->own.reader);
    assert_non_null(c);
    return exchange_open(&h->kept, c);
}

static void finish_it(struct hand *h, struct exchange *x)
{
    exchange_finish(x);
    exchange_check_in(x);
    exchange_lay_down(x);
    exchange_close(x, &h->kept);
}

/* The same thread's, without a watch of its own. */
static void begin_second_hand(struct hand *h)
{
    *h = (struct hand){.own = {.id = 2}};
    h->own.reader = connection_reader_create(service.connections);
    assert_non_null(h->own.reader);
    assert_true(exchanges_open(&h->kept, &service));
    assert_non_null(h->own.counters = counters_create());
}

static const char *path_of_script(const char *name)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void serve_next(struct hand *h)
{
    struct exchange *x = open_next(h);
    assert_non_null(x);
    exchange_take_up(x, &h->own);
    exchange_run(x);
    finish_it(h, x);
}

/* Sends and empties it. */
static void send_off(int fd, struct message *m)
{
    send_all(fd, m->data, m->len);
    m->len = 0;
}

static void expect_body(int fd, const char *body)
{
    struct response r = {0};
    read_response(fd, &r);
    assert_body(&r, body);
    drop(&r.out);
}

static struct exchange *open_request(int fd, const char *script)
{
    send_request(fd, true, script);
    struct exchange *x = open_next(&hand);
    assert_non_null(x);
    return x;
}

/* -- Tests -- */

static void requests_are_served_one_after_the_other(void **state)
{
    (void)state;
    const char *script = write_file(
        "a.lua", "n = 0 function main() n = n + 1 Send(n, ' ', Info.Thread) end");
    int fd = connect_client();
    send_request(fd, true, script);
    serve_next(&hand);
    expect_body(fd, "\r\n\r\n1 1");
    send_request(fd, true, script);
    serve_next(&hand);
    expect_body(fd, "\r\n\r\n2 1");
    assert_int_equal(pool_states(service.pool), 1);
    close(fd);
}

static void a_refused_request_gets_its_page_and_no_script(void **state)
{
    (void)state;
    int fd = connect_client();
    send_request(fd, true, write_file("a.txt", "not for Lua"));
    serve_next(&hand);
    struct response r = {0};
    read_response(fd, &r);
    assert_true(r.ended);
    assert_memory_equal(r.out.data, "Status: 404", 11);
    assert_int_equal(pool_states(service.pool), 0);
    drop(&r.out);
    close(fd);
}

static void a_script_that_fails_makes_a_page(void **state)
{
    (void)state;
    int fd = connect_client();
    send_request(fd, true, write_file("a.lua", "function main() error('broken') end"));
    serve_next(&hand);
    struct response r = {0};
    read_response(fd, &r);
    assert_true(r.ended);
    assert_memory_equal(r.out.data, "Status: 500", 11);
    assert_int_equal(count_logged("a.lua:1: broken"), 1);
    drop(&r.out);
    close(fd);
}

static void lines_name_the_script_only_while_it_is_taken_up(void **state)
{
    (void)state;
    const char *script = write_file(
        "named.lua", "setmetatable({}, {__gc = function() print('collected') end})"
                     "function main() for i = 1, 1e5 do local t = {} end end");
    int fd = connect_client();
    struct exchange *x = open_request(fd, script);
    log_info("before");
    exchange_take_up(x, &hand.own);
    log_info("during");
    exchange_lay_down(x);
    log_info("between");
    exchange_take_up(x, &hand.own);
    exchange_run(x);
    exchange_finish(x);
    log_info("finished");
    exchange_check_in(x);
    exchange_lay_down(x);
    exchange_close(x, &hand.kept);
    log_info("after");
    assert_int_equal(count_logged("worker 1: before"), 1);
    assert_int_equal(count_logged("named.lua: during"), 1);
    assert_int_equal(count_logged("worker 1: between"), 1);
    assert_int_equal(count_logged("named.lua: finished"), 1);
    assert_int_equal(count_logged("worker 1: after"), 1);
    close(fd);
}

static void the_time_stands_still_while_it_is_laid_down(void **state)
{
    (void)state;
    struct config *c = new_config();
    c->request_timeout = 60000;
    config_publish(c);
    int fd = connect_client();
    struct exchange *x = open_request(fd, write_file("a.lua", "function main() end"));
    assert_int_equal(watch_time_left(), -1);
    exchange_take_up(x, &hand.own);
    uint32_t used = clock_ticks();
    int64_t before = watch_time_left();
    exchange_lay_down(x);
    used = clock_ticks() - used;
    assert_int_equal(watch_time_left(), -1);
    poll(NULL, 0, 200);
    uint32_t again = clock_ticks();
    exchange_take_up(x, &hand.own);
    int64_t after = watch_time_left();
    used += clock_ticks() - again;
    assert_in_range(before, 1, 60000);
    assert_in_range(before - after + 2, 0, used + 4);
    exchange_run(x);
    finish_it(&hand, x);
    assert_int_equal(watch_time_left(), -1);
    expect_body(fd, "\r\n\r\n");
    close(fd);
}

static void without_a_time_limit_there_is_none_later(void **state)
{
    (void)state;
    struct config *c = new_config();
    c->request_timeout = 0;
    config_publish(c);
    int fd = connect_client();
    struct exchange *x = open_request(fd, write_file("a.lua", "function main() end"));
    for (int i = 0; i < 2; i++) {
        exchange_take_up(x, &hand.own);
        assert_int_equal(watch_time_left(), -1);
        exchange_lay_down(x);
    }
    exchange_take_up(x, &hand.own);
    exchange_run(x);
    finish_it(&hand, x);
    close(fd);
}

static void the_thread_enters_the_directory_of_what_it_takes_up(void **state)
{
    (void)state;
    char here[128], other[96], path[128];
    const char *script = write_file("a.lua", "function main() end");
    snprintf(other, sizeof other, "%s/other", directory);
    assert_int_equal(mkdir(other, 0700), 0);
    snprintf(path, sizeof path, "%s", write_file("other/b.lua", "function main() end"));
    if (!hand.own.directory.own)
        skip();
    int fds[2] = {connect_client(), connect_client()};
    struct exchange *a = open_request(fds[0], script);
    struct exchange *b = open_request(fds[1], path);
    for (int i = 0; i < 2; i++) {
        exchange_take_up(a, &hand.own);
        assert_string_equal(getcwd(here, sizeof here), directory);
        exchange_lay_down(a);
        exchange_take_up(b, &hand.own);
        assert_string_equal(getcwd(here, sizeof here), other);
        exchange_lay_down(b);
    }
    for (int i = 0; i < 2; i++) {
        exchange_take_up(i == 0 ? a : b, &hand.own);
        exchange_run(i == 0 ? a : b);
        finish_it(&hand, i == 0 ? a : b);
        close(fds[i]);
    }
}

static void serve_to_the_end(struct exchange *x)
{
    exchange_take_up(x, &hand.own);
    exchange_run(x);
    finish_it(&hand, x);
}

/* The next request comes on the same connection while the script still runs. */
static void a_response_that_is_over_frees_its_connection(void **state)
{
    (void)state;
    const char *again = write_file("b.lua", "function main() Send('next') end");
    const char *script = write_file(
        "a.lua", "function main() Send('all') assert(Finish()) Send(Env.SCRIPT_FILENAME)"
                 " assert(not pcall(Receive, 1)) error('broken') end");
    int fd = connect_client();
    struct message m = {0};
    put_head(&m, 1, true, script, 0);
    put_body(&m, 1, (const uint8_t *)"", 0, 0);
    put_head(&m, 1, true, again, 0);
    put_body(&m, 1, (const uint8_t *)"", 0, 0);
    send_off(fd, &m);
    struct exchange *x = open_next(&hand);
    exchange_take_up(x, &hand.own);
    exchange_run(x);
    struct hand other;
    begin_second_hand(&other);
    serve_next(&other);
    exchanges_close(&other.kept);
    connection_reader_destroy(other.own.reader);
    counters_destroy(other.own.counters);
    finish_it(&hand, x);
    expect_body(fd, "\r\n\r\nall");
    expect_body(fd, "\r\n\r\nnext");
    assert_int_equal(count_logged("a.lua:1: broken"), 1);
    drop(&m);
    close(fd);
}

static void a_wait_ends_when_the_client_goes(void **state)
{
    (void)state;
    int fd = connect_client();
    struct exchange *x =
        open_request(fd, write_file("a.lua", "function main() ('x'):gsub('x', function()"
                                             " Sleep(1000) end) end"));
    close(fd);
    serve_to_the_end(x);
    assert_int_equal(count_logged("the client went away"), 1);
    assert_int_equal(count_logged("error"), 0);
}

/* The next that is to go on. */
static struct exchange *get_ready(struct hand *h)
{
    assert_null(connection_wait(service.connections, h->own.reader));
    struct exchange *x = exchange_ready(h->own.reader);
    assert_non_null(x);
    return x;
}

/* Runs it until it waits. */
static void run_to_a_wait(struct exchange *x)
{
    exchange_take_up(x, &hand.own);
    assert_false(exchange_run(x));
    exchange_lay_down(x);
    exchange_wait(x);
}

static void an_exchange_that_waits_is_nobodys(void **state)
{
    (void)state;
    const char *quick = write_file("b.lua", "function main() Send('quick') end");
    int fd = connect_client(), other_fd = connect_client();
    struct exchange *x = open_request(
        fd, write_file("a.lua", "function main() Send('a') Sleep(0.05) Send('b')"
                                " Sleep(0.05) Send('c') end"));
    run_to_a_wait(x);
    assert_int_equal(watch_time_left(), -1);
    send_request(other_fd, true, quick);
    serve_next(&hand);
    expect_body(other_fd, "\r\n\r\nquick");
    assert_ptr_equal(get_ready(&hand), x);
    run_to_a_wait(x);
    serve_to_the_end(get_ready(&hand));
    expect_body(fd, "\r\n\r\nabc");
    assert_int_equal(pool_states(service.pool), 2);
    close(fd);
    close(other_fd);
}

static void its_time_stands_still_while_it_waits(void **state)
{
    (void)state;
    struct config *c = new_config();
    c->request_timeout = 60000;
    config_publish(c);
    int fd = connect_client();
    struct exchange *x =
        open_request(fd, write_file("a.lua", "function main() Sleep(0.5) end"));
    exchange_take_up(x, &hand.own);
    assert_false(exchange_run(x));
    int64_t before = watch_time_left();
    exchange_lay_down(x);
    exchange_wait(x);
    x = get_ready(&hand);
    exchange_take_up(x, &hand.own);
    assert_in_range(before - watch_time_left() + 20, 0, 450);
    assert_true(exchange_run(x));
    finish_it(&hand, x);
    close(fd);
}

static void a_client_that_goes_ends_it_without_an_error_line(void **state)
{
    (void)state;
    int fd = connect_client();
    struct exchange *x = open_request(
        fd, write_file("a.lua", "n = 0 function main() n = n + 1 if n > 1 then Send(n)"
                                " return end pcall(Sleep, 1000) while true do"
                                " pcall(Sleep, 1000) end end"));
    run_to_a_wait(x);
    close(fd);
    serve_to_the_end(get_ready(&hand));
    assert_int_equal(count_logged(" error "), 0);
    assert_int_equal(count_logged(" warning "), 0);
    fd = connect_client();
    send_request(fd, true, path_of_script("a.lua"));
    serve_next(&hand);
    expect_body(fd, "\r\n\r\n2");
    close(fd);
}

static void a_stop_ends_it_with_503(void **state)
{
    (void)state;
    int fds[2] = {connect_client(), connect_client()};
    run_to_a_wait(open_request(
        fds[0], write_file("a.lua", "function main() Send('x') Sleep(1000) end")));
    run_to_a_wait(open_request(
        fds[1],
        write_file("b.lua", "function main() while true do pcall(Sleep, 1) end end")));
    connections_stop(service.connections);
    for (int i = 0; i < 2; i++) {
        struct response r = {0};
        serve_to_the_end(get_ready(&hand));
        read_response(fds[i], &r);
        assert_memory_equal(r.out.data, "Status: 503", 11);
        put(&r.out, "", 1);
        assert_non_null(strstr((char *)r.out.data, "\r\nRetry-After: "));
        drop(&r.out);
        close(fds[i]);
    }
    assert_null(connection_wait(service.connections, hand.own.reader));
    assert_null(exchange_ready(hand.own.reader));
    assert_int_equal(count_logged(" error "), 0);
}

/* -- Another thread -- */

struct other {
    struct exchange *x;
    bool run;      /* else the script has run already */
    unsigned more; /* requests that it serves then */
};

static void *go_on(void *arg)
{
    struct other *o = arg;
    struct hand h;
    begin_hand(&h, 2);
    exchange_take_up(o->x, &h.own);
    if (o->run)
        exchange_run(o->x);
    finish_it(&h, o->x);
    for (unsigned i = 0; i < o->more; i++)
        serve_next(&h);
    end_hand(&h);
    return NULL;
}

static void go_on_elsewhere(struct other *o)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, go_on, o), 0);
    pthread_join(thread, NULL);
}

/* The head and a part of the body are in one thread's memory when it turns to another
 * request. */
static void another_thread_goes_on_with_the_body(void **state)
{
    (void)state;
    const char *script = write_file("a.lua", "function main()"
                                             " Send(Info.Thread, ' ', Receive()) end");
    struct message m = {0};
    int fd = connect_client(), other_fd = connect_client();
    put_head(&m, 1, true, script, 0);
    put_record(&m, RECORD_STDIN, 1, "first ", 6, 3);
    put(&m, "\1\5\0", 3); /* the header of the next is not whole */
    send_off(fd, &m);
    struct exchange *x = open_next(&hand);
    exchange_take_up(x, &hand.own);
    exchange_lay_down(x);
    send_request(other_fd, true, script);
    serve_next(&hand);
    expect_body(other_fd, "\r\n\r\n1 ");
    put_record(&m, RECORD_STDIN, 1, "second", 6, 0);
    memmove(m.data, m.data + 3, m.len -= 3);
    put_record(&m, RECORD_STDIN, 1, "", 0, 0);
    put_head(&m, 1, true, script, 0); /* of the next request */
    put_body(&m, 1, (const uint8_t *)"third", 5, 5);
    send_off(fd, &m);
    go_on_elsewhere(&(struct other){.x = x, .run = true, .more = 1});
    expect_body(fd, "\r\n\r\n2 first second");
    expect_body(fd, "\r\n\r\n2 third");
    drop(&m);
    close(fd);
    close(other_fd);
}

/* All of the body and the next request are in one thread's memory. */
static void another_thread_sends_the_response(void **state)
{
    (void)state;
    const char *script = write_file("a.lua", "function main()"
                                             " Send(Info.Thread, ' ', Receive()) end");
    struct message m = {0};
    int fd = connect_client();
    for (int i = 0; i < 2; i++) {
        put_head(&m, 1, true, script, 0);
        put_body(&m, 1, (const uint8_t *)"body", 4, 4);
    }
    send_off(fd, &m);
    struct exchange *x = open_next(&hand);
    exchange_take_up(x, &hand.own);
    exchange_run(x);
    exchange_lay_down(x);
    go_on_elsewhere(&(struct other){.x = x, .more = 1});
    expect_body(fd, "\r\n\r\n1 body");
    expect_body(fd, "\r\n\r\n2 body");
    drop(&m);
    close(fd);
}

static void *read_all(void *arg)
{
    struct scene *t = arg;
    read_response(t->fd, &t->r);
    return NULL;
}

static bool is_drained(int fd)
{
    int left = 1;
    return ioctl(fd, FIONREAD, &left) == 0 && left == 0;
}

/* The peer has got a part of a record. The rest of it, and the mark of a response that is
 * not whole, come from the other thread. */
static void another_thread_cuts_off_what_the_peer_did_not_take(void **state)
{
    (void)state;
    struct config *c = new_config();
    c->write_timeout = 20;
    c->max_waiting = 0; /* so the thread waits for the peer itself */
    config_publish(c);
    struct scene t = {.fd = connect_client()};
    struct exchange *x = open_request(
        t.fd, write_file("a.lua", "function main() Send(('x'):rep(2^22)) Flush() end"));
    pthread_t reader;
    exchange_take_up(x, &hand.own);
    exchange_run(x);
    exchange_lay_down(x);
    assert_int_equal(pthread_create(&reader, NULL, read_all, &t), 0);
    wait_until(is_drained(t.fd));
    go_on_elsewhere(&(struct other){.x = x});
    pthread_join(reader, NULL);
    assert_true(t.r.cut);
    assert_false(t.r.ended);
    drop(&t.r.out);
    close(t.fd);
}

/* A kind of crowd: each thread lays down what it took, and takes up what others laid
 * down. */
static struct {
    pthread_mutex_t lock;
    struct exchange *waiting[4];
} crowd = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct exchange *swap(int place, struct exchange *x)
{
    pthread_mutex_lock(&crowd.lock);
    struct exchange *other = crowd.waiting[place];
    crowd.waiting[place] = x;
    pthread_mutex_unlock(&crowd.lock);
    return other;
}

enum { CROWD = 3, EACH = 60 };

static void *swap_and_serve(void *arg)
{
    struct hand h;
    begin_hand(&h, *(int *)arg);
    for (int i = 0; i < EACH; i++) {
        struct exchange *x = open_next(&h);
        exchange_take_up(x, &h.own);
        exchange_lay_down(x);
        x = swap(i % 4, x);
        if (x == NULL)
            continue;
        exchange_take_up(x, &h.own);
        exchange_run(x);
        finish_it(&h, x);
    }
    end_hand(&h);
    return NULL;
}

static void many_change_hands(void **state)
{
    (void)state;
    enum { CLIENTS = CROWD * EACH };
    const char *script = write_file("a.lua", "function main() Send(Receive()) end");
    int fds[CLIENTS], ids[CROWD] = {2, 3, 4};
    pthread_t threads[CROWD];
    struct message m = {0};
    for (int i = 0; i < CLIENTS; i++) {
        char body[32];
        snprintf(body, sizeof body, "number %d", i);
        fds[i] = connect_client();
        put_head(&m, 1, false, script, 0);
        put_body(&m, 1, (const uint8_t *)body, strlen(body), 3);
        send_off(fds[i], &m);
    }
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, swap_and_serve, &ids[i]), 0);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++) {
        struct exchange *x = swap(i, NULL);
        exchange_take_up(x, &hand.own);
        exchange_run(x);
        finish_it(&hand, x);
    }
    for (int i = 0; i < CLIENTS; i++) {
        char body[32];
        snprintf(body, sizeof body, "\r\n\r\nnumber %d", i);
        expect_body(fds[i], body);
        close(fds[i]);
    }
    drop(&m);
}

/* -- Memory -- */

static void the_memory_of_one_serves_the_next(void **state)
{
    (void)state;
    const char *script = write_file("a.lua", "function main() end");
    int fd = connect_client();
    const struct exchange *first = hand.kept.first;
    for (int i = 0; i < 3; i++) {
        struct exchange *x = open_request(fd, script);
        assert_ptr_equal(x, first);
        exchange_take_up(x, &hand.own);
        exchange_run(x);
        finish_it(&hand, x);
        expect_body(fd, "\r\n\r\n");
    }
    assert_int_equal(hand.kept.count, 1);
    close(fd);
}

static void of_many_at_once_a_few_are_kept(void **state)
{
    (void)state;
    enum { MANY = 8 };
    const char *script = write_file("a.lua", "function main() end");
    int fds[MANY];
    struct exchange *x[MANY];
    for (int i = 0; i < MANY; i++)
        x[i] = open_request(fds[i] = connect_client(), script);
    for (int i = 0; i < MANY; i++) {
        exchange_take_up(x[i], &hand.own);
        exchange_run(x[i]);
        finish_it(&hand, x[i]);
        close(fds[i]);
    }
    assert_in_range(hand.kept.count, 1, 2);
}

static void a_new_configuration_is_for_the_next_request(void **state)
{
    (void)state;
    int fds[2] = {connect_client(), connect_client()};
    const char *script = write_file("a.lua", "function main() Send('page') end");
    struct exchange *x = open_request(fds[0], script);
    struct config *c = new_config();
    free(c->default_http_status);
    c->default_http_status = strdup("202 Accepted");
    config_publish(c);
    exchange_take_up(x, &hand.own);
    exchange_run(x);
    finish_it(&hand, x);
    send_request(fds[1], true, script);
    serve_next(&hand);
    for (int i = 0; i < 2; i++) {
        struct response r = {0};
        read_response(fds[i], &r);
        assert_memory_equal(r.out.data, i == 0 ? "Status: 200" : "Status: 202", 11);
        drop(&r.out);
        close(fds[i]);
    }
}

#define WITH_ALL(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ALL(requests_are_served_one_after_the_other),
        WITH_ALL(a_refused_request_gets_its_page_and_no_script),
        WITH_ALL(a_script_that_fails_makes_a_page),
        WITH_ALL(lines_name_the_script_only_while_it_is_taken_up),
        WITH_ALL(the_time_stands_still_while_it_is_laid_down),
        WITH_ALL(without_a_time_limit_there_is_none_later),
        WITH_ALL(the_thread_enters_the_directory_of_what_it_takes_up),
        WITH_ALL(a_response_that_is_over_frees_its_connection),
        WITH_ALL(a_wait_ends_when_the_client_goes),
        WITH_ALL(an_exchange_that_waits_is_nobodys),
        WITH_ALL(its_time_stands_still_while_it_waits),
        WITH_ALL(a_client_that_goes_ends_it_without_an_error_line),
        WITH_ALL(a_stop_ends_it_with_503),
        WITH_ALL(another_thread_goes_on_with_the_body),
        WITH_ALL(another_thread_sends_the_response),
        WITH_ALL(another_thread_cuts_off_what_the_peer_did_not_take),
        WITH_ALL(many_change_hands),
        WITH_ALL(the_memory_of_one_serves_the_next),
        WITH_ALL(of_many_at_once_a_few_are_kept),
        WITH_ALL(a_new_configuration_is_for_the_next_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
