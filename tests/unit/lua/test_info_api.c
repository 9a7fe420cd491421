/* What the daemon tells of itself. */
#include "lua/info_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void values_that_every_script_finds(void **state)
{
    (void)state;
    assert_page("assert(LUAFCGID == true and LUAFCGID_VERSION == 2) "
                "assert(Response[404] == '404 Not Found' and Response[299] == nil) "
                "assert(require 'luafcgid' == lf and require 'luafcgid2' == lf) "
                "assert(type(Config) == 'table') return Dir() == Env.DIR and 'x' or 'y'",
                "y");
    assert_page("local f = io.open(Dir() .. '/script.lua') f:close() return 'there'",
                "there");
}

/* As the pool does: the same script for two document roots, and another. */
static void visit_three(struct pool *pool,
                        void (*visit)(const char *path, int states, void *arg), void *arg)
{
    (void)pool;
    visit("/a.lua", 2, arg);
    visit("/b.lua", 1, arg);
    visit("/a.lua", 3, arg);
}

static void thread_data_adds_up_the_states_of_a_script(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = page("local t = ThreadData() Send(t['/a.lua'], t['/b.lua'])");
    struct call call = {
        .request = request, .sessions = sessions, .visit_scripts = visit_three};
    begin_request((const char *const[]){"A=1", ""});
    assert_true(api_serve(s, &call, &error));
    assert_int_equal(request_buffer(request)->len, 2);
    assert_memory_equal(request_buffer(request)->data, "51", 2);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_that_every_script_finds),
        TEST(thread_data_adds_up_the_states_of_a_script),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
