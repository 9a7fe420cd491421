/* The heartbeat, with a real service to look after. It is started once and stopped once,
 * in one test. */
#include "daemon/heartbeat.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "daemon/notify.h"
#include "tests/unit/script_fixture.h"

enum { PATIENCE = 30000 /* ms */ };

static struct service service;
static int manager; /* the service manager's socket */

static void listen_as_manager(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", directory);
    manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "100000", 1);
    unsetenv("WATCHDOG_PID");
    notify_start();
}

static int begin(void **state)
{
    if (set_up(state) != 0)
        return -1;
    listen_as_manager();
    config->keep_alive_timeout = config->read_timeout = 20;
    service.pool = pool_create();
    service.sessions = sessions;
    service.connections = connections_create(-1, config);
    config_publish(config_ref(config));
    return service.pool == NULL || service.connections == NULL ? -1 : 0;
}

static int end(void **state)
{
    connections_stop(service.connections);
    connections_destroy(service.connections);
    pool_destroy(service.pool);
    config_publish(NULL);
    close(manager);
    return tear_down(state);
}

static void expect_message(void)
{
    char text[512];
    struct pollfd p = {.fd = manager, .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE), 1);
    ssize_t n = recv(manager, text, sizeof text - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    static const char start[] = "WATCHDOG=1\nSTATUS=0 requests served, 0 Lua states, ";
    assert_memory_equal(text, start, sizeof start - 1);
}

/* Nobody serves the connection, so its head is late. */
static void it_tells_the_manager_and_closes_what_is_late(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(connections_adopt(service.connections, pair[1]));
    assert_true(heartbeat_start(&service));
    for (int i = 0; i < 3; i++)
        expect_message();
    struct pollfd p = {.fd = pair[0], .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE), 1);
    char byte;
    assert_int_equal(recv(pair[0], &byte, 1, 0), 0);
    assert_int_equal(connections_count(service.connections), 0);
    heartbeat_stop();
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_tells_the_manager_and_closes_what_is_late,
                                        begin, end),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
