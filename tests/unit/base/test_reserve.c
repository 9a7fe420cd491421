/* Descriptors in reserve. */
#include "base/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 64 };

static int taken[LIMIT], count;

static void take_all(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        taken[count++] = fd;
    assert_int_equal(errno, EMFILE);
}

static void let_go(int wanted)
{
    while (count > 0 && wanted-- > 0)
        close(taken[--count]);
}

static int set_limit(void **state)
{
    (void)state;
    struct rlimit limit;
    reserve_fill();
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -1;
    limit.rlim_cur = LIMIT; /* valgrind refuses another hard limit */
    return setrlimit(RLIMIT_NOFILE, &limit);
}

static int let_all_go(void **state)
{
    (void)state;
    let_go(LIMIT);
    return 0;
}

static void what_the_daemon_opens_is_opened_when_nothing_is_left(void **state)
{
    (void)state;
    take_all();
    int fd = reserve_open("/dev/zero", O_RDONLY | O_CLOEXEC, 0);
    assert_true(fd >= 0);
    char byte = 1;
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 0);
    close(fd);
}

static void what_is_closed_goes_back_to_the_reserve(void **state)
{
    (void)state;
    take_all();
    for (int i = 0; i < 100; i++) {
        int fd = reserve_open("/dev/zero", O_RDONLY | O_CLOEXEC, 0);
        assert_true(fd >= 0);
        reserve_close(fd);
        assert_int_equal(open("/dev/null", O_RDONLY), -1); /* nobody else gets it */
    }
}

static void it_ends_and_is_filled_again(void **state)
{
    (void)state;
    int opened[LIMIT], n = 0;
    take_all();
    while ((opened[n] = reserve_open("/dev/null", O_RDONLY, 0)) >= 0)
        n++;
    assert_int_equal(errno, EMFILE);
    assert_in_range(n, 2, 8);
    reserve_fill();
    assert_int_equal(reserve_open("/dev/null", O_RDONLY, 0), -1);
    close(opened[--n]);
    reserve_fill();
    assert_int_equal(open("/dev/null", O_RDONLY), -1);
    opened[n++] = reserve_open("/dev/null", O_RDONLY, 0);
    assert_true(opened[n - 1] >= 0);
    while (n > 0)
        close(opened[--n]);
}

static void other_errors_cost_nothing_of_it(void **state)
{
    (void)state;
    assert_int_equal(reserve_open("/no/such/file", O_RDONLY, 0), -1);
    assert_int_equal(errno, ENOENT);
    take_all();
    int fd = reserve_open("/dev/null", O_RDONLY, 0);
    assert_true(fd >= 0);
    close(fd);
}

static void scripts_are_refused_before_all_is_taken(void **state)
{
    (void)state;
    assert_true(reserve_spares());
    assert_int_equal(reserve_limit(), LIMIT);
    take_all();
    assert_false(reserve_spares());
    assert_int_equal(errno, EMFILE);
    let_go(8);
    assert_false(reserve_spares());
    let_go(16);
    assert_true(reserve_spares());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_the_daemon_opens_is_opened_when_nothing_is_left, set_limit, let_all_go),
        cmocka_unit_test_setup_teardown(what_is_closed_goes_back_to_the_reserve,
                                        set_limit, let_all_go),
        cmocka_unit_test_setup_teardown(it_ends_and_is_filled_again, set_limit,
                                        let_all_go),
        cmocka_unit_test_setup_teardown(other_errors_cost_nothing_of_it, set_limit,
                                        let_all_go),
        cmocka_unit_test_setup_teardown(scripts_are_refused_before_all_is_taken,
                                        set_limit, let_all_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
