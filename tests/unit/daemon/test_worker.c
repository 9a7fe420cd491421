/* Workers: they serve what comes, count it, and end when the daemon stops. They are
 * started once in a process, so the tests run in their order. */
#include "daemon/worker.h"

#include "tests/unit/daemon_fixture.h"

enum { WORKERS = 3 };

static unsigned asked; /* requests, by all tests so far */

/* A worker counts a request when its response is out. */
static void await_count(void)
{
    wait_until(workers_requests() == asked);
}

static void ask_for(int fd, const char *script, bool keep, const char *body)
{
    struct response r = {0};
    ask(fd, keep, script, &r);
    asked++;
    assert_body(&r, body);
    drop(&r.out);
}

static void requests_are_served_and_counted(void **state)
{
    (void)state;
    const char *script = write_file("a.lua", "function main() Send('page') end");
    int fd = connect_client();
    for (int i = 0; i < 5; i++)
        ask_for(fd, script, true, "\r\n\r\npage");
    await_count();
    close(fd);
}

/* Each holds its worker until all of them are there. */
static void as_many_run_at_once_as_there_are_workers(void **state)
{
    (void)state;
    char text[512], path[128];
    struct response r = {0};
    int fds[WORKERS];
    snprintf(text, sizeof text,
             "function main() local n = Info.Thread"
             " io.open('%s/' .. n, 'w'):close()"
             " for i = 1, %d do while not io.open('%s/' .. i) do end end"
             " Send('page') end",
             directory, WORKERS, directory);
    const char *script = write_file("wait.lua", text);
    for (int i = 0; i < WORKERS; i++)
        send_request(fds[i] = connect_client(), true, script);
    for (int i = 0; i < WORKERS; i++) {
        read_response(fds[i], &r);
        assert_body(&r, "\r\n\r\npage");
        close(fds[i]);
        snprintf(path, sizeof path, "%s/%d", directory, i + 1);
        assert_int_equal(access(path, F_OK), 0);
    }
    drop(&r.out);
    asked += WORKERS;
    await_count();
}

static void a_request_that_is_refused_is_counted_too(void **state)
{
    (void)state;
    int fd = connect_client();
    struct response r = {0};
    ask(fd, false, write_file("a.txt", ""), &r);
    assert_memory_equal(r.out.data, "Status: 404", 11);
    drop(&r.out);
    asked++;
    await_count();
    close(fd);
}

/* What was counted is there when the workers are not. */
static void all_end_when_the_daemon_stops(void **state)
{
    (void)state;
    assert_false(workers_wait(0));
    connections_stop(service.connections);
    assert_true(workers_wait(PATIENCE));
    assert_int_equal(workers_requests(), asked);
}

static int start_all(void **state)
{
    open_service(state);
    return workers_start(&service, WORKERS) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_served_and_counted),
        cmocka_unit_test(as_many_run_at_once_as_there_are_workers),
        cmocka_unit_test(a_request_that_is_refused_is_counted_too),
        cmocka_unit_test(all_end_when_the_daemon_stops),
    };
    return cmocka_run_group_tests(tests, start_all, close_service);
}
