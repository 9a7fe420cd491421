/* Values as Lua source: they come back as they were. */
#include "lua/serialize_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void scalars_come_back_with_their_type(void **state)
{
    (void)state;
    check("for _, v in ipairs {true, false, 0, 1, -1, math.maxinteger, math.mininteger, "
          "0.0, "
          "1.5, -2.0, 1e300, 5e-324, 2.0 ^ 53, 0.1, 1 / 3, 1 / 0, -1 / 0, '', 'text', "
          "'1'} do "
          "is(back(v), v) end "
          "is(1 / back(-0.0), -1 / 0) "
          "local nan = back(0 / 0) assert(nan ~= nan) "
          "is(lf.serialize(nil), 'nil') is(lf.serialize(), 'nil') is(lf.serialize(7), "
          "'7')");
}

static void strings_of_any_bytes_come_back(void **state)
{
    (void)state;
    check("local t = {} for i = 0, 255 do t[#t + 1] = string.char(i) .. '7' end "
          "local s = table.concat(t) is(back(s), s) "
          "is(back('\\r\\n\"\\\\'), '\\r\\n\"\\\\') "
          "is(lf.serialize('a\"b'), [[\"a\\\"b\"]]) "
          "assert(not lf.serialize('two\\nlines'):find('[\\n\\r]'))");
}

static void tables_come_back(void **state)
{
    (void)state;
    check("local t = {1, 'two', {3, {4}}, [10] = 10, [-1] = 'minus', [1.5] = 'half', "
          "[true] = false, ['a b'] = {}, ['end'] = 'word', [''] = ''} "
          "same(back(t), t) same(back({}), {}) "
          "local shared = {1} local u = back({shared, shared}) same(u, {{1}, {1}})");
}

static void what_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    check(
        "local function refused(v, what) local ok, why = pcall(lf.serialize, v) "
        "assert(not ok and why:find(what, 1, true), why) end "
        "refused(print, 'function') refused({{print}}, 'function') "
        "refused(coroutine.create(print), 'thread') refused(io.stdout, 'userdata') "
        "refused({[{}] = 1}, 'key') refused({[print] = 1}, 'function') "
        "local t = {} t.t = t refused(t, 'contains itself') "
        "local deep = {} for i = 1, 10000 do deep = {deep} end refused(deep, 'nested')");
}

/* Made to grow: under the memory limit it ends, and soon. */
static void what_is_built_counts_against_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 4 << 20;
    struct script *s =
        script("local s = ('x'):rep(10000) t = {} for i = 1, 1000 do t[i] = s "
               "end");
    assert_raises(s, "lf.serialize(t)", "memory limit exceeded");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scalars_come_back_with_their_type),
        TEST(strings_of_any_bytes_come_back),
        TEST(tables_come_back),
        TEST(what_cannot_be_written_is_an_error),
        TEST(what_is_built_counts_against_the_memory_limit),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
