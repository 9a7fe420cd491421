/* The working directory of scripts. unshare is this program's, so that a thread can be
 * refused a directory of its own. */
#include "lua/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>

#include "tests/unit/page_fixture.h"

static bool refused;

int unshare(int flags)
{
    if (!refused)
        return (int)syscall(SYS_unshare, flags);
    errno = EPERM;
    return -1;
}

static void assert_in(const char *expected)
{
    char here[256];
    assert_non_null(getcwd(here, sizeof here));
    assert_string_equal(here, expected);
}

static void make_directories(char *one, char *two, size_t size)
{
    snprintf(one, size, "%s/1", directory);
    snprintf(two, size, "%s/2", directory);
    assert_int_equal(mkdir(one, 0700), 0);
    assert_int_equal(mkdir(two, 0700), 0);
}

static void a_thread_is_in_the_directory_of_its_script(void **state)
{
    (void)state;
    struct directory d = {0};
    char one[96], two[96];
    make_directories(one, two, sizeof one);
    directory_make_own(&d);
    if (!d.own)
        skip(); /* as in a container */
    directory_enter(&d, path_of("1/a.lua"));
    assert_in(one);
    directory_enter(&d, path_of("1/b.lua"));
    assert_in(one);
    directory_enter(&d, path_of("2/a.lua"));
    assert_in(two);
    directory_enter(&d, "a.lua"); /* nobody knows where that is */
    assert_in(two);
    directory_enter(&d, "/a.lua");
    assert_in("/");
    directory_release(&d);
}

static void without_its_directory_it_is_in_the_root(void **state)
{
    (void)state;
    struct directory d = {0};
    char one[96], two[96];
    make_directories(one, two, sizeof one);
    directory_make_own(&d);
    if (!d.own)
        skip();
    directory_enter(&d, path_of("1/a.lua"));
    directory_enter(&d, path_of("none/a.lua"));
    assert_in("/");
    directory_enter(&d, path_of("1/a.lua"));
    assert_in(one);
    directory_release(&d);
}

/* -- A directory that is replaced after the thread has entered it, and before a state is
 * made for the request -- */

static void write_where(const char *directory_name, const char *text)
{
    char name[32];
    snprintf(name, sizeof name, "%s/where", directory_name);
    write_file(name, text);
}

static void move(const char *from, const char *to)
{
    char old[128], new_[128];
    snprintf(old, sizeof old, "%s", path_of(from));
    snprintf(new_, sizeof new_, "%s", path_of(to));
    assert_int_equal(rename(old, new_), 0);
}

/* A script of 1/ that has noted at its start where it is. */
static struct script_code *load_noting(void)
{
    struct script_error error = {0};
    struct script_code *code = script_compile(
        write_file("1/a.lua", "where = io.open('where'):read('a')"), config, &error);
    assert_non_null(code);
    return code;
}

/* Enters 1/, which is then moved away. Returns a script of it that is still to be made.
 */
static struct script_code *enter_what_goes_away(struct directory *d)
{
    char one[96], two[96];
    make_directories(one, two, sizeof one);
    directory_make_own(d);
    if (!d->own)
        skip();
    write_where("1", "old");
    struct script_code *code = load_noting();
    directory_enter(d, path_of("1/a.lua"));
    move("1", "away");
    return code;
}

static struct script *make(struct script_code *code)
{
    struct script_error error = {0};
    struct script *s = script_create(code, "", config, 1, &error);
    script_code_unref(code);
    assert_non_null(s);
    return s;
}

static void a_state_is_made_in_the_directory_that_is_there_now(void **state)
{
    (void)state;
    struct directory d = {0};
    struct script_code *code = enter_what_goes_away(&d);
    write_where("2", "new");
    move("2", "1");
    struct script *s = make(code);
    run(s, "assert(where == 'new' and io.open('where'):read('a') == 'new')");
    assert_true(state_is_current(s));
    script_close(s);
    directory_release(&d);
}

static void a_state_that_was_made_meanwhile_serves_once(void **state)
{
    (void)state;
    struct directory d = {0};
    struct script *s = make(enter_what_goes_away(&d));
    run(s, "assert(where == 'old')");
    assert_false(state_is_current(s));
    script_close(s);
    directory_release(&d);
}

static void a_thread_without_one_of_its_own_stays_where_it_is(void **state)
{
    (void)state;
    struct directory d = {0};
    refused = true;
    directory_make_own(&d);
    directory_make_own(&d);
    assert_false(d.own);
    assert_int_equal(chdir("/"), 0);
    directory_enter(&d, path_of("a.lua"));
    assert_in("/");
    directory_release(&d);
    const char *first = strstr(logged(), "scripts cannot have a working directory");
    assert_non_null(first);
    assert_null(strstr(first + 1, "scripts cannot have a working directory"));
}

/* After the test above, as the states that are made from then on know. */
static void there_the_library_looks_beside_the_script(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    char text[128];
    snprintf(text, sizeof text, "directory = '%s'", directory);
    write_file("some", "text");
    struct script *s = script(text);
    run(s, "local f = io.open('some') assert(f:read('a') == 'text') f:close() "
           "assert(io.lines('some')() == 'text') "
           "assert(os.rename('some', 'other') and os.remove('other')) "
           "assert(io.open('some') == nil)");
    run(s, "local p = io.popen('pwd') assert(p:read() == directory) p:close() "
           "assert(os.execute() and os.execute('test -f script.lua'))");
    run(s,
        "assert(package.searchpath('script', './?.lua') == directory .. '/./script.lua') "
        "local found, why = package.searchpath('no.such', './?.lua;/tmp/?.x') "
        "assert(found == nil and why:find('/no/such.lua', 1, true) and "
        "why:find('/tmp/no/such.x', 1, true))");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_thread_is_in_the_directory_of_its_script),
        TEST(without_its_directory_it_is_in_the_root),
        TEST(a_state_is_made_in_the_directory_that_is_there_now),
        TEST(a_state_that_was_made_meanwhile_serves_once),
        TEST(a_thread_without_one_of_its_own_stays_where_it_is),
        TEST(there_the_library_looks_beside_the_script),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
