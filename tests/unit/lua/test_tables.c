/* table.move gives what the library's own gives, also in more than one piece, and a
 * broken limit ends it. */
#include "lua/tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/library_fixture.h"

/* `own` is the library's table.move. */
static lua_State *open(void)
{
    return library_open("own = table.move", tables_open);
}

static void test_it_moves_as_the_librarys_own(void **unused)
{
    (void)unused;
    lua_State *L = open();
    if (luaL_dostring(
            L,
            "local function list() local t = {} for i = 1, 35000 do t[i] = i end "
            "return t end\n"
            "for _, a in ipairs{{1, 35000, 2}, {2, 35000, 1}, {1, 30000, 5001},\n"
            "    {5001, 35000, 1}, {1, 35000, 35001}, {1, 35000, 1}, {100, 10099, 50},\n"
            "    {1, 20000, 10001}, {1, 10000, 3}, {-20000, 5, 1}, {3, 2, 1}} do\n"
            "  local f, e, t = table.unpack(a)\n"
            "  local x, y, other = list(), list(), {}\n"
            "  assert(table.move(x, f, e, t) == x) own(y, f, e, t)\n"
            "  for i = -20001, 71000 do assert(x[i] == y[i]) end\n"
            "  assert(table.move(x, f, e, t, other) == other)\n"
            "  for i = f, e do assert(other[i - f + t] == x[i]) end\n"
            "end\n"
            "for _, a in ipairs{{{}, 1, 1 << 62, (1 << 62) + 2}, {{}, -2, "
            "math.maxinteger, 1},\n"
            "    {{}, math.mininteger, math.maxinteger, 1}, {1, 1, 1 << 40, 1},\n"
            "    {{}, 1, 1 << 40}, {{}, 1, 1 << 40, 1, 5}} do\n"
            "  local ok, why = pcall(table.move, table.unpack(a))\n"
            "  local _, right = pcall(own, table.unpack(a))\n"
            "  assert(not ok and why:gsub(\"'.-'\", '') == right:gsub(\"'.-'\", ''),\n"
            "         why .. right)\n"
            "end\n"))
        fail_msg("%s", lua_tostring(L, -1));
    limit_close(&limit, NULL);
}

static void test_a_broken_limit_ends_it(void **unused)
{
    (void)unused;
    library_assert_ends(open(), "table.move({}, 1, 1 << 60, 2)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_moves_as_the_librarys_own),
        cmocka_unit_test(test_a_broken_limit_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
