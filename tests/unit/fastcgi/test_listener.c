/* Where the daemon listens: paths, addresses, and sockets that another program has made.
 */
#include "tests/unit/connection_fixture.h"

static void assert_refused(const struct config *config, const char *part)
{
    char error[512] = "";
    assert_int_equal(listener_listen(config, error, sizeof error), -1);
    if (!strstr(error, part))
        fail_msg("\"%s\" does not say \"%s\"", error, part);
    assert_null(strchr(error, '\n'));
}

static int must_listen(const struct config *config)
{
    char error[512] = "";
    int fd = listener_listen(config, error, sizeof error);
    if (fd < 0)
        fail_msg("%s", error);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    return fd;
}

static void a_stale_socket_is_replaced_and_a_live_one_left_alone(void **state)
{
    struct scene *t = *state;
    struct stat st, again;
    int fd = must_listen(&t->s.config);
    assert_int_equal(lstat(t->s.path, &st), 0);
    assert_refused(&t->s.config, "another server listens");
    assert_int_equal(lstat(t->s.path, &again), 0);
    assert_int_equal(st.st_ino, again.st_ino);
    close(fd); /* now it is stale */
    fd = must_listen(&t->s.config);
    close(fd);
    listener_unlink();
    assert_int_equal(lstat(t->s.path, &st), -1);
}

static void a_socket_that_is_not_ours_any_more_is_not_unlinked(void **state)
{
    struct scene *t = *state;
    struct stat st;
    int fd = must_listen(&t->s.config);
    assert_int_equal(unlink(t->s.path), 0);
    int other = open(t->s.path, O_CREAT | O_WRONLY, 0600);
    listener_unlink();
    assert_int_equal(lstat(t->s.path, &st), 0);
    close(fd);
    close(other);
    unlink(t->s.path);
}

static void any_other_file_is_refused_and_left_alone(void **state)
{
    struct scene *t = *state;
    struct stat st;
    int fd = open(t->s.path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_refused(&t->s.config, "not a socket");
    assert_int_equal(stat(t->s.path, &st), 0);
    close(fd);
    unlink(t->s.path);
    assert_int_equal(symlink("/nonexistent", t->s.path), 0);
    assert_refused(&t->s.config, "not a socket");
    unlink(t->s.path);
    assert_int_equal(mkdir(t->s.path, 0700), 0);
    assert_refused(&t->s.config, "not a socket");
    rmdir(t->s.path);
}

static void the_mode_is_as_told_whatever_the_umask(void **state)
{
    struct scene *t = *state;
    static const unsigned modes[] = {0600, 0660, 0666, 0777};
    struct stat st;
    for (unsigned mask = 0; mask < 0100; mask += 077) {
        for (size_t i = 0; i < 4; i++) {
            mode_t before = umask((mode_t)mask);
            t->s.config.listen_mode = modes[i];
            int fd = must_listen(&t->s.config);
            assert_int_equal(umask(before), mask);
            assert_int_equal(stat(t->s.path, &st), 0);
            assert_int_equal(st.st_mode & 0777, modes[i]);
            close(fd);
            listener_unlink();
        }
    }
}

static void owner_and_group_are_set(void **state)
{
    struct scene *t = *state;
    struct stat st;
    char nobody[] = "no such user or group", number[16];
    t->s.config.listen_owner = nobody;
    assert_refused(&t->s.config, "ListenOwner");
    t->s.config.listen_owner = NULL;
    t->s.config.listen_group = nobody;
    assert_refused(&t->s.config, "ListenGroup");
    assert_int_equal(lstat(t->s.path, &st), -1); /* nothing is left behind */
    gid_t group = geteuid() == 0 ? 12345 : getegid();
    snprintf(number, sizeof number, "%u", (unsigned)group);
    t->s.config.listen_group = number;
    int fd = must_listen(&t->s.config);
    assert_int_equal(stat(t->s.path, &st), 0);
    assert_int_equal(st.st_gid, group);
    assert_int_equal(st.st_mode & 0777, 0660);
    close(fd);
    listener_unlink();
}

static void wrong_addresses_are_named(void **state)
{
    struct scene *t = *state;
    char text[300];
    t->s.config.listen = text;
    memset(text, 'x', sizeof text);
    memcpy(text, "/run/", 5);
    text[sizeof text - 1] = '\0';
    assert_refused(&t->s.config, "from 1 to 107 bytes, got 299");
    static const char *const rows[][2] = {{"127.0.0.1:http", "expected a path"},
                                          {"127.0.0.1:65536", "expected a path"},
                                          {"127.0.0.1:-1", "expected a path"},
                                          {"127.0.0.1:", "expected a path"},
                                          {"::1:9000", "expected a path"},
                                          {"", "from 1 to"},
                                          {"fd:x", "expected a path"},
                                          {"fd:0x", "expected a path"},
                                          {"fd:999", "not a listening"},
                                          {"/nonexistent/dir/x.sock", "cannot make"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "%s", rows[i][0]);
        assert_refused(&t->s.config, rows[i][1]);
    }
}

static int bound_port(int fd, int family)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(a.ss_family, family);
    return ntohs(family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port
                                   : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void tcp_addresses_of_every_form(void **state)
{
    struct scene *t = *state;
    char text[64];
    t->s.config.listen = text;
    snprintf(text, sizeof text, ":0");
    int fd = must_listen(&t->s.config);
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(ntohl(a.sin_addr.s_addr), INADDR_LOOPBACK);
    snprintf(text, sizeof text, "127.0.0.1:%d", bound_port(fd, AF_INET));
    assert_refused(&t->s.config, "another server listens");
    close(fd);
    fd = must_listen(&t->s.config);
    close(fd);
    snprintf(text, sizeof text, "*:0");
    fd = must_listen(&t->s.config);
    close(fd);
    if (have_ipv6()) {
        snprintf(text, sizeof text, "[::1]:0");
        fd = must_listen(&t->s.config);
        assert_true(bound_port(fd, AF_INET6) > 0);
        close(fd);
    }
}

static void inherited_sockets_are_used_and_not_unlinked(void **state)
{
    struct scene *t = *state;
    struct stat st;
    char text[32], path[64];
    int fd = must_listen(&t->s.config);
    snprintf(path, sizeof path, "%s", t->s.path);
    fcntl(fd, F_SETFD, 0);
    fcntl(fd, F_SETFL, 0);
    snprintf(text, sizeof text, "fd:%d", fd);
    t->s.config.listen = text;
    assert_int_equal(must_listen(&t->s.config), fd);
    close(fd);
    assert_int_equal(lstat(path, &st), 0);
    unlink(path);
}

/* Runs in a process of its own, because it changes the environment and descriptor 3. */
static int systemd_child(void)
{
    struct server s;
    char pid[32], error[256];
    default_config(&s);
    int fd = listener_listen(&s.config, error, sizeof error);
    if (fd < 0 || (fd != 3 && dup2(fd, 3) != 3))
        return 1;
    char elsewhere[] = "/nonexistent/dir/x.sock";
    s.config.listen = elsewhere;
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "1", 1);
    if (listener_listen(&s.config, error, sizeof error) != -1 || getenv("LISTEN_FDS"))
        return 2; /* another process's */
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    if (listener_listen(&s.config, error, sizeof error) != -1 ||
        !strstr(error, "2 sockets"))
        return 3;
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    if (listener_listen(&s.config, error, sizeof error) != 3 || getenv("LISTEN_FDS") ||
        getenv("LISTEN_PID") || !(fcntl(3, F_GETFD) & FD_CLOEXEC))
        return 4;
    unlink(s.path);
    return 0;
}

static void systemd_sockets_take_the_place_of_listen(void **state)
{
    (void)state;
    run_myself("systemd");
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1) {
        prepare(NULL);
        return systemd_child();
    }
    const struct CMUnitTest tests[] = {
        TEST(a_stale_socket_is_replaced_and_a_live_one_left_alone),
        TEST(a_socket_that_is_not_ours_any_more_is_not_unlinked),
        TEST(any_other_file_is_refused_and_left_alone),
        TEST(the_mode_is_as_told_whatever_the_umask),
        TEST(owner_and_group_are_set),
        TEST(wrong_addresses_are_named),
        TEST(tcp_addresses_of_every_form),
        TEST(inherited_sockets_are_used_and_not_unlinked),
        TEST(systemd_sockets_take_the_place_of_listen),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
