/* The governor: more workers while scripts wait, up to the bound, and no more of them for
 * scripts that compute. It is started once in a process, so the tests run in their order.
 */
#include "daemon/governor.h"

#include "daemon/worker.h"

#include "tests/unit/daemon_fixture.h"

enum { WORKERS = 2, MOST = 6 };

static int fds[MOST];

static void create(const char *name)
{
    write_file(name, "");
}

static void remove_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
}

/* Requests whose scripts do `code` until there is a file `free`. */
static void begin_all(int count, const char *name, const char *code)
{
    char text[512];
    snprintf(text, sizeof text,
             "function main() %s io.popen('while ! test -e %s/free; do sleep 0.02; done')"
             ":read('a') Send('page') end",
             code, directory);
    const char *script = write_file(name, text);
    for (int i = 0; i < count; i++)
        send_request(fds[i] = connect_client(), false, script);
}

static void finish_all(int count)
{
    struct response r = {0};
    create("free");
    for (int i = 0; i < count; i++) {
        read_response(fds[i], &r);
        assert_body(&r, "\r\n\r\npage");
        close(fds[i]);
    }
    drop(&r.out);
    remove_file("free");
}

static void ask_for_hello(int fd)
{
    struct response r = {0};
    ask(fd, false, write_file("hello.lua", "function main() Send('hello') end"), &r);
    assert_body(&r, "\r\n\r\nhello");
    drop(&r.out);
    close(fd);
}

/* Before there are others. */
static void scripts_that_compute_get_no_worker_more(void **state)
{
    (void)state;
    char code[256];
    snprintf(code, sizeof code,
             "while not io.open('%s/done') do for i = 1, 1e7 do end end", directory);
    begin_all(WORKERS + 1, "compute.lua", code);
    poll(NULL, 0, 300);
#ifndef __SANITIZE_THREAD__ /* in which a thread that computes sleeps now and then */
    if (getenv("LUAFCGID2_SLOWDOWN") == NULL) /* valgrind lets one thread run at a time */
        assert_int_equal(workers_surplus(), 0);
#endif
    create("done");
    finish_all(WORKERS + 1);
    assert_int_equal(governor_shortage().seconds, 0);
}

static void scripts_that_wait_get_a_worker_each(void **state)
{
    (void)state;
    begin_all(MOST - 1, "wait.lua", "");
    ask_for_hello(connect_client());
    assert_in_range(workers_surplus(), MOST - 1 - WORKERS, MOST - WORKERS);
    finish_all(MOST - 1);
}

static void at_the_bound_it_says_so_and_when_it_is_over(void **state)
{
    (void)state;
    begin_all(MOST, "wait.lua", "");
    int fd = connect_client();
    send_request(fd, false, write_file("hello.lua", "function main() Send('x') end"));
    wait_until(governor_shortage().lasts);
    struct governor_shortage s = governor_shortage();
    assert_int_equal(s.error, EALREADY);
    assert_int_equal(s.most, MOST);
    assert_in_range(s.seconds, 1, 60);
    assert_int_equal(workers_surplus(), MOST - WORKERS);
    finish_all(MOST);
    wait_until(!governor_shortage().lasts);
    close(fd);
}

static void it_ends_with_the_daemon(void **state)
{
    (void)state;
    connections_stop(service.connections);
    governor_stop();
    assert_true(workers_wait(PATIENCE));
}

static int start_all(void **state)
{
    open_service(state);
    struct config *c = new_config();
    c->worker_threads_max = MOST;
    c->lua_max_search_retries = 0;
    config_publish(c);
    return workers_start(&service, WORKERS) && governor_start(&service, WORKERS) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_that_compute_get_no_worker_more),
        cmocka_unit_test(scripts_that_wait_get_a_worker_each),
        cmocka_unit_test(at_the_bound_it_says_so_and_when_it_is_over),
        cmocka_unit_test(it_ends_with_the_daemon),
    };
    return cmocka_run_group_tests(tests, start_all, close_service);
}
