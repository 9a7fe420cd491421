/* Notifications to a socket of the test's, which takes the place of the service
 * manager's. */
#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct manager {
    int fd;
    char directory[64];
    char name[108]; /* as NOTIFY_SOCKET has it */
};

static void listen_at(struct manager *m, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    snprintf(m->name, sizeof m->name, "%s", name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    m->fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(m->fd >= 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(m->fd, (const struct sockaddr *)&address, size), 0);
}

static int set_up(void **state)
{
    static struct manager m;
    memset(&m, 0, sizeof m);
    m.fd = -1;
    snprintf(m.directory, sizeof m.directory, "/tmp/notify.XXXXXX");
    assert_non_null(mkdtemp(m.directory));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    *state = &m;
    return 0;
}

static int tear_down(void **state)
{
    struct manager *m = *state;
    if (m->fd >= 0)
        close(m->fd);
    if (m->name[0] == '/')
        unlink(m->name);
    return rmdir(m->directory);
}

static void listen_in_directory(struct manager *m)
{
    char path[100];
    snprintf(path, sizeof path, "%s/notify", m->directory);
    listen_at(m, path);
    setenv("NOTIFY_SOCKET", path, 1);
    notify_start();
}

/* The next message, "" when there is none. */
static const char *receive(const struct manager *m)
{
    static char text[2048];
    ssize_t n = recv(m->fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n < 0 ? 0 : n] = '\0';
    return text;
}

static void sends_to_a_path(void **state)
{
    struct manager *m = *state;
    listen_in_directory(m);
    assert_true(notify_send("READY=1\nSTATUS=4 workers"));
    assert_string_equal(receive(m), "READY=1\nSTATUS=4 workers");
    assert_true(notify_sendf("STATUS=%d requests", 12));
    assert_string_equal(receive(m), "STATUS=12 requests");
}

#ifdef __linux__
static void sends_to_an_abstract_name(void **state)
{
    struct manager *m = *state;
    char name[64];
    snprintf(name, sizeof name, "@luafcgid2-test-%ld", (long)getpid());
    listen_at(m, name);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_start();
    assert_true(notify_send("STOPPING=1"));
    assert_string_equal(receive(m), "STOPPING=1");
}
#endif

static void is_silent_without_a_manager(void **state)
{
    (void)state;
    notify_start();
    errno = EPROTO;
    assert_false(notify_send("READY=1"));
    assert_int_equal(errno, EPROTO);
}

static void refuses_names_it_cannot_use(void **state)
{
    (void)state;
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[0] = '/';
    longer[sizeof longer - 1] = '\0';
    const char *names[] = {"", "@", "/", "relative", "vsock:2:1234", longer};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_start();
        assert_false(notify_send("READY=1"));
    }
}

static void survives_a_manager_that_went_away(void **state)
{
    struct manager *m = *state;
    listen_in_directory(m);
    close(m->fd);
    m->fd = -1;
    errno = 0;
    assert_false(notify_send("WATCHDOG=1"));
    assert_int_equal(errno, 0);
}

static void never_blocks_on_a_full_queue(void **state)
{
    struct manager *m = *state;
    listen_in_directory(m);
    int sent = 0;
    while (sent < 100000 && notify_send("WATCHDOG=1"))
        sent++;
    assert_true(sent > 0 && sent < 100000);
    assert_string_equal(receive(m), "WATCHDOG=1");
    assert_true(notify_send("READY=1"));
}

static void *read_late(void *of)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    receive(of);
    return NULL;
}

static void waits_with_what_must_not_be_lost(void **state)
{
    struct manager *m = *state;
    pthread_t reader;
    listen_in_directory(m);
    while (notify_send("WATCHDOG=1"))
        ;
    assert_int_equal(pthread_create(&reader, NULL, read_late, m), 0);
    assert_true(notify_tell("READY=1"));
    pthread_join(reader, NULL);
    const char *text = "";
    while (strcmp(text, "READY=1") != 0)
        assert_string_not_equal(text = receive(m), ""); /* it is the last */
    assert_string_equal(receive(m), "");
}

static void gives_up_on_a_manager_that_does_not_read(void **state)
{
    struct manager *m = *state;
    listen_in_directory(m);
    while (notify_send("WATCHDOG=1"))
        ;
    errno = EPROTO;
    assert_false(notify_tell("READY=1"));
    assert_int_equal(errno, EPROTO);
}

static void drops_a_state_that_is_too_long(void **state)
{
    struct manager *m = *state;
    listen_in_directory(m);
    assert_false(notify_sendf("STATUS=%01200d", 1));
    assert_string_equal(receive(m), "");
}

static void a_reload_carries_the_time_of_now(void **state)
{
    struct manager *m = *state;
    struct timespec before, after;
    int64_t usec = 0;
    listen_in_directory(m);
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_true(notify_reloading());
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_int_equal(sscanf(receive(m), "RELOADING=1\nMONOTONIC_USEC=%" SCNd64, &usec),
                     1);
    assert_true(usec >= (int64_t)before.tv_sec * 1000000 + before.tv_nsec / 1000);
    assert_true(usec <= (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
}

static void hides_the_manager_from_children(void **state)
{
    struct manager *m = *state;
    setenv("WATCHDOG_USEC", "30000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    listen_in_directory(m);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
    assert_true(notify_send("READY=1"));
}

static int64_t watchdog_of(const char *usec, const char *pid)
{
    if (usec)
        setenv("WATCHDOG_USEC", usec, 1);
    if (pid)
        setenv("WATCHDOG_PID", pid, 1);
    notify_start();
    return notify_watchdog();
}

static void the_watchdog_is_due_at_half_its_time(void **state)
{
    (void)state;
    char self[32];
    snprintf(self, sizeof self, "%ld", (long)getpid());
    assert_int_equal(watchdog_of("30000000", self), 15000);
    assert_int_equal(watchdog_of("30000000", NULL), 15000);
    assert_int_equal(watchdog_of("1", self), 1);
}

static void no_watchdog_without_a_valid_time_for_this_process(void **state)
{
    (void)state;
    const char *bad[] = {"", "0", "-5", "12x", "x", "99999999999999999999"};
    assert_int_equal(watchdog_of(NULL, NULL), 0);
    assert_int_equal(watchdog_of("30000000", "1"), 0);
    assert_int_equal(watchdog_of("30000000", "none"), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(watchdog_of(bad[i], NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sends_to_a_path),
#ifdef __linux__
        TEST(sends_to_an_abstract_name),
#endif
        TEST(is_silent_without_a_manager),
        TEST(refuses_names_it_cannot_use),
        TEST(survives_a_manager_that_went_away),
        TEST(never_blocks_on_a_full_queue),
        TEST(waits_with_what_must_not_be_lost),
        TEST(gives_up_on_a_manager_that_does_not_read),
        TEST(drops_a_state_that_is_too_long),
        TEST(a_reload_carries_the_time_of_now),
        TEST(hides_the_manager_from_children),
        TEST(the_watchdog_is_due_at_half_its_time),
        TEST(no_watchdog_without_a_valid_time_for_this_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
