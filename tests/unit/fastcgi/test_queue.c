/* The queue of a listening socket: as long as who has connected says, by each way of
 * asking the system. */
#include "fastcgi/queue.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 3, LIMIT = 17 };

typedef bool reader(int listener, int *waiting, int *most);

#ifdef __linux__
/* The same for those in whose sandbox there are no netlink sockets. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#undef AF_NETLINK
#define AF_NETLINK   AF_UNSPEC
#define queue_read read_in_a_sandbox
bool read_in_a_sandbox(int listener, int *waiting, int *most);
#include "fastcgi/queue.c"
#undef queue_read

static int listen_at(const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, address, len), 0);
    assert_int_equal(listen(fd, LIMIT), 0);
    return fd;
}

static void expect(reader *read_queue, int listener, int waiting, int most)
{
    int got_waiting = -1, got_most = -1;
    assert_true(read_queue(listener, &got_waiting, &got_most));
    assert_int_equal(got_waiting, waiting);
    assert_int_equal(got_most, most);
}

static void follow_queue(reader *read_queue, int listener, int most)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int clients[CLIENTS];
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    expect(read_queue, listener, 0, most);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(address.ss_family, SOCK_STREAM, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&address, len), 0);
        expect(read_queue, listener, i + 1, most);
    }
    int taken = accept(listener, NULL, NULL);
    expect(read_queue, listener, CLIENTS - 1, most);
    close(taken);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close(listener);
}

static void follow_unix_queue(reader *read_queue, int most)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, "/tmp/test_queue.XXXXXX");
    assert_non_null(mkdtemp(address.sun_path));
    char directory[64];
    strcpy(directory, address.sun_path);
    strcat(address.sun_path, "/s");
    follow_queue(read_queue, listen_at((struct sockaddr *)&address, sizeof address),
                 most);
    unlink(address.sun_path);
    rmdir(directory);
}

static void tcp_tells_its_queue(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    follow_queue(queue_read, listen_at((struct sockaddr *)&address, sizeof address),
                 LIMIT);
}

static void a_unix_socket_tells_its_queue(void **state)
{
    (void)state;
    follow_unix_queue(queue_read, LIMIT);
}

static void in_a_sandbox_it_tells_no_limit(void **state)
{
    (void)state;
    follow_unix_queue(read_in_a_sandbox, 0);
}
#endif

static void what_does_not_listen_has_no_queue(void **state)
{
    (void)state;
    int waiting, most, ends[2];
    assert_false(queue_read(-1, &waiting, &most));
    assert_int_equal(pipe(ends), 0);
    assert_false(queue_read(ends[0], &waiting, &most));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef __linux__
        cmocka_unit_test(tcp_tells_its_queue),
        cmocka_unit_test(a_unix_socket_tells_its_queue),
        cmocka_unit_test(in_a_sandbox_it_tells_no_limit),
#endif
        cmocka_unit_test(what_does_not_listen_has_no_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
