/* Buffers that Lua frees, through lf.serialize, which fills one. */
#include "lua/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

static void the_buffer_of_an_error_half_way_is_freed(void **state)
{
    (void)state;
    struct script *s = script("t = {} for i = 1, 1000 do t[i] = ('x'):rep(100) end "
                              "t[1001] = print");
    for (int i = 0; i < 50; i++)
        run(s, "assert(not pcall(lf.serialize, t))");
    script_close(s); /* a sanitizer tells */
}

static void run_function(lua_CFunction f)
{
    struct script_error error = {0};
    struct script *s = script("");
    assert_int_equal(state_run(s, f, false, &error), STATE_DONE);
    script_close(s);
}

static int use_a_buffer(lua_State *L)
{
    struct buffer *b = scratch_push(L);
    assert_true(buffer_puts(b, "text"));
    assert_int_equal(scratch_result(L, b), 1);
    assert_string_equal(lua_tostring(L, -1), "text");
    assert_int_equal(b->len, 0);
    assert_int_equal(scratch_result(L, b), 1);
    assert_string_equal(lua_tostring(L, -1), "");
    return 0;
}

static void the_result_is_a_string_and_the_buffer_is_empty_then(void **state)
{
    (void)state;
    run_function(use_a_buffer);
}

static int use_it_again(lua_State *L)
{
    struct buffer *first = scratch_push(L);
    assert_true(buffer_puts(first, "one"));
    assert_int_equal(scratch_finish(L, -1), 1);
    assert_string_equal(lua_tostring(L, -1), "one");
    lua_pushnil(L);
    assert_ptr_equal(scratch_push(L), first);
    assert_int_equal(first->len, 0);
    struct buffer *second = scratch_push(L);
    assert_ptr_not_equal(second, first);
    assert_true(buffer_puts(second, "two"));
    scratch_give_back(L, -1);
    assert_ptr_equal(scratch_push(L), second);
    assert_int_equal(second->len, 0);
    return 0;
}

static void one_that_was_given_back_is_used_again(void **state)
{
    (void)state;
    run_function(use_it_again);
}

/* Objects with finalizers would pile up faster than Lua collects them. */
static void many_calls_leave_no_buffers(void **state)
{
    (void)state;
    struct script *s = script("");
    run(s, "collectgarbage() collectgarbage() local before = collectgarbage('count') "
           "for i = 1, 20000 do lf.serialize('x') end "
           "assert(collectgarbage('count') - before < 400, 'kibibytes more')");
    script_close(s);
}

static int fill_a_buffer(lua_State *L)
{
    struct buffer *b = scratch_push(L);
    while (b->len < 1u << 30)
        limit_check_memory(L, buffer_append(b, "0123456789abcdef", 16));
    return 0;
}

static void what_it_holds_counts_for_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 4 << 20;
    struct script_error error = {0};
    struct script *s = script("");
    assert_int_equal(state_run(s, fill_a_buffer, false, &error), STATE_FAILED);
    assert_non_null(strstr(error.message, "memory limit exceeded"));
    state_error_clear(&error);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_buffer_of_an_error_half_way_is_freed),
        TEST(the_result_is_a_string_and_the_buffer_is_empty_then),
        TEST(one_that_was_given_back_is_used_again),
        TEST(many_calls_leave_no_buffers),
        TEST(what_it_holds_counts_for_the_memory_limit),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
