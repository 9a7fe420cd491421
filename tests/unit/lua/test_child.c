/* Programs that scripts start. */
#include "lua/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/process.h"
#include "tests/unit/page_fixture.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static void children_start_run_and_say_how_they_ended(void **state)
{
    (void)state;
    check("local p = io.popen('echo one; echo two; exit 3') assert(p:read('l') == 'one') "
          "assert(p:read('a') == 'two\\n') local ok, how, code = p:close() "
          "assert(not ok and how == 'exit' and code == 3) "
          "ok, how, code = os.execute('exit 7') "
          "assert(not ok and how == 'exit' and code == 7) "
          "assert(os.execute('true') and os.execute()) "
          "ok, how, code = os.execute('kill -9 $$') "
          "assert(not ok and how == 'signal' and code == 9) "
          "assert(not pcall(io.popen, 'true', 'x'))");
}

static void a_child_that_is_written_to(void **state)
{
    (void)state;
    check("local name = os.tmpname() local p = io.popen('cat >' .. name, 'w') "
          "p:write('some ', 5, '\\n') assert(p:close()) "
          "local f = io.open(name) assert(f:read('a') == 'some 5\\n') f:close() "
          "os.remove(name)");
}

/* The number that the file of that name holds, once it is there. */
static pid_t pid_in(const char *name)
{
    for (int i = 0; i < 500; i++) {
        char text[32] = "";
        FILE *f = fopen(path_of(name), "r");
        if (f != NULL) {
            bool whole =
                fgets(text, sizeof text, f) != NULL && strchr(text, '\n') != NULL;
            fclose(f);
            if (whole)
                return (pid_t)strtol(text, NULL, 10);
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("no number comes into %s", name);
    return 0;
}

/* Reaps as the heartbeat does: an ended child that nobody waited for is still there. */
static bool ends_soon(pid_t pid)
{
    for (int i = 0; i < 500; i++) {
        process_reap();
        if (kill(pid, 0) < 0 && errno == ESRCH)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return false;
}

static void a_child_that_its_state_leaves_behind_is_killed(void **state)
{
    (void)state;
    char text[256];
    snprintf(text, sizeof text, "kept = io.popen('echo $$ >%s; exec sleep 60', 'w')",
             path_of("pid"));
    struct script *s = script(text);
    pid_t pid = pid_in("pid");
    script_close(s);
    assert_true(ends_soon(pid));
}

static void a_child_that_the_script_forgets_ends_in_its_own_time(void **state)
{
    (void)state;
    char text[256];
    snprintf(text, sizeof text,
             "io.popen('cat >/dev/null; echo $$ >%s', 'w'):write('mail\\n') "
             "collectgarbage()",
             path_of("pid"));
    struct script *s = script(text);
    assert_true(pid_in("pid") > 0);
    script_close(s);
}

static void a_pipe_that_cannot_be_used_says_why(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_raises(s, "io.popen('true', 'rw')", "invalid mode");
    run(s, "local p = io.popen('true') assert(p:close()) "
           "assert(not pcall(p.read, p) and not pcall(p.close, p))");
    run(s, "local p = io.popen('/nowhere/at/all 2>/dev/null') "
           "local ok, how, code = p:close() "
           "assert(not ok and how == 'exit' and code == 127)");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(children_start_run_and_say_how_they_ended),
        TEST(a_child_that_is_written_to),
        TEST(a_child_that_its_state_leaves_behind_is_killed),
        TEST(a_child_that_the_script_forgets_ends_in_its_own_time),
        TEST(a_pipe_that_cannot_be_used_says_why),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
