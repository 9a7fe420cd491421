/* find, match, gmatch, gsub and rep give what the library's own give, for strings and
 * patterns that chance makes, well formed or not. */
#include "lua/strings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/library_fixture.h"

/* ThreadSanitizer keeps each call that an error leaves in a list that has an end. */
#ifdef __SANITIZE_THREAD__
#define ROUNDS "300"
#else
#define ROUNDS "3000"
#endif

/* `own` has the library's functions, `string` the others. */
static lua_State *open(void)
{
    return library_open("own = {} for k, v in pairs(string) do own[k] = v end",
                        strings_open);
}

static void run(const char *code)
{
    lua_State *L = open();
    if (luaL_dostring(L, code))
        fail_msg("%s", lua_tostring(L, -1));
    limit_close(&limit, NULL);
}

#define COMPARE                                                                          \
    "local function show(...)\n"                                                         \
    "  local t = table.pack(...)\n"                                                      \
    "  for i = 1, t.n do t[i] = math.type(t[i]) == 'integer' and t[i] or \n"             \
    "    type(t[i]) .. ':' .. tostring(t[i]) end\n"                                      \
    "  return own.gsub(table.concat(t, ' '), \"to '[%w.?]+'\", 'to f')\n"                \
    "end\n"                                                                              \
    "local function compare(name, ...)\n"                                                \
    "  local a = show(pcall(own[name], ...))\n"                                          \
    "  local b = show(pcall(string[name], ...))\n"                                       \
    "  if a ~= b then error(own.format('%s(%q): %q, and not %q', name, show(...),\n"     \
    "    b, a), 0) end\n"                                                                \
    "end\n"                                                                              \
    "local function all(name)\n"                                                         \
    "  return function(s, p) local t = {} for a, b in name(s, p) do\n"                   \
    "    t[#t + 1] = tostring(a) .. ',' .. tostring(b) if #t > 50 then break end end\n"  \
    "    return table.concat(t, ';') end\n"                                              \
    "end\n"                                                                              \
    "local own_gmatch, gmatch = all(own.gmatch), all(string.gmatch)\n"                   \
    "own.all, string.all = own_gmatch, gmatch\n"

static void test_what_chance_makes_gives_the_same(void **unused)
{
    (void)unused;
    run(COMPARE
        "math.randomseed(5)\n"
        "local parts = {'a', 'b', 'c', '.', '%a', '%d', '%s', '%w', '%W', '%x', '%p',\n"
        "  '%.', '%%', '[ab]', '[^a]', '[a-c]', '[%d-]', '[]a]', '[^]]', '[a-]', '(',\n"
        "  ')', '()', '*', '+', '-', '?', '%1', '%2', '%b()', '%bab', '%f[a]', "
        "'%f[%W]',\n"
        "  '^', '$', '[', ']', '%', '%f', '%b', '\\0', '[%', '[a', '%z', '%0', '(a)'}\n"
        "local letters = {'a', 'b', 'c', 'A', '1', ' ', '(', ')', '.', '-', '%', '\\0', "
        "']'}\n"
        "local texts = {'<%0>', '%1', '%2%1', '%%', '%', '%x', 'x', ''}\n"
        "local function any(t, n) local s = {} for i = 1, math.random(0, n) do\n"
        "  s[i] = t[math.random(#t)] end return table.concat(s) end\n"
        "for i = 1, " ROUNDS " do\n"
        "  local s, p, init = any(letters, 12), any(parts, 6), math.random(-14, 14)\n"
        "  compare('find', s, p)\n"
        "  compare('find', s, p, init)\n"
        "  compare('find', s, p, init, true)\n"
        "  compare('match', s, p, init)\n"
        "  compare('all', s, p)\n"
        "  compare('gsub', s, p, texts[math.random(#texts)])\n"
        "  compare('gsub', s, p, '[%0]', math.random(-1, 3))\n"
        "  compare('gsub', s, p, {a = 1, b = 'x', [1] = false, c = {}})\n"
        "  compare('gsub', s, p, function(x, y) return x ~= 'a' and y end)\n"
        "end\n");
}

static void test_arguments_are_checked_the_same(void **unused)
{
    (void)unused;
    run(COMPARE
        "for _, name in ipairs{'find', 'match', 'all', 'gsub', 'rep'} do\n"
        "  for _, a in ipairs{{}, {'a'}, {'a', {}}, {{}, 'a'}, {12, 2, 3}, {'a', 'a', "
        "{}},\n"
        "      {'a', 'a', 'b', {}}, {'a', 'a', true}, {'aa', 'a', 1.5}, {'a', 'a', 1, "
        "1.5},\n"
        "      {'a', 3, ','}, {'a', 1 << 62}, {'', -1}, {'ab', 0}, {'', 3, 'x'}} do\n"
        "    compare(name, table.unpack(a))\n"
        "  end\n"
        "end\n"
        "compare('find', 'a', own.rep('(a', 33))\n"
        "compare('find', 'a', own.rep('a?', 190))\n"
        "compare('find', own.rep('a', 300), own.rep('a?', 300))\n"
        "compare('find', own.rep('a', 300), own.rep('a', 300) .. '$')\n"
        "compare('find', 'a', own.rep('()', 33))\n");
}

static void test_nothing_is_repeated_at_once(void **unused)
{
    (void)unused;
    run("assert(string.rep('', math.maxinteger) == '')\n"
        "assert(string.rep('', math.maxinteger, '') == '')\n");
}

static void test_a_broken_limit_ends_a_search(void **unused)
{
    (void)unused;
    static const char *const calls[] = {
        "find(s, '.-.-.-b')", "match(s, '(.-)%s*$')", "gsub(s, '.-b', '')",
        "gmatch(s, '.-b')()", "find(s, '%bxy')",
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char code[128];
        snprintf(code, sizeof code, "local s = (%s):rep(100000) return string.%s",
                 i == 4 ? "'x'" : "'a '", calls[i]);
        library_assert_ends(open(), code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_chance_makes_gives_the_same),
        cmocka_unit_test(test_arguments_are_checked_the_same),
        cmocka_unit_test(test_nothing_is_repeated_at_once),
        cmocka_unit_test(test_a_broken_limit_ends_a_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
