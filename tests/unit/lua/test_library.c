/* The standard library as scripts get it: what is a state's own, what is taken away. */
#include "lua/library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

/* The text runs in a new state without an error. */
static void check(const char *text)
{
    struct script *s = script("");
    run(s, text);
    script_close(s);
}

static void exit_ends_the_request_whatever_would_catch_it(void **state)
{
    (void)state;
    struct script *s = script("n = 0");
    run(s, "n = 1 os.exit() n = 2");
    run(s, "assert(n == 1) pcall(os.exit, true) n = 3");
    run(s, "assert(n == 1) xpcall(os.exit, print) n = 4");
    run(s, "assert(n == 1) coroutine.wrap(function() os.exit(1, true) end)() n = 5");
    run(s, "assert(n == 1)");
    script_close(s);
}

static void standard_output_is_the_log_line_by_line(void **state)
{
    (void)state;
    struct script *s = script("print('at load', 1, nil)");
    assert_logged(": at load\\t1\\tnil\n"); /* tabs are escaped */
    run(s, "io.write('no end') io.stdout:write(', still none', 2.5) io.write('\\nthe "
           "next')");
    assert_logged(": no end, still none2.5\n");
    script_close(s);
    assert_logged(": the next\n"); /* what is left unfinished is not lost */
}

static void random_numbers_are_a_states_own(void **state)
{
    (void)state;
    struct script *a = script("math.randomseed(42) first = math.random(1 << 30)");
    struct script *b = script("math.randomseed(42) first = math.random(1 << 30)");
    for (int i = 0; i < 100; i++)
        run(b, "math.random()"); /* does not move the other's on */
    run(a, "math.randomseed(42) assert(math.random(1 << 30) == first)");
    run(b, "math.randomseed(42) assert(math.random(1 << 30) == first)");
    run(a, "for i = 1, 1000 do local x = math.random() assert(x >= 0 and x < 1) "
           "local n = math.random(6) assert(n >= 1 and n <= 6 and math.type(n) == "
           "'integer') "
           "n = math.random(-3, 3) assert(n >= -3 and n <= 3) end "
           "assert(not pcall(math.random, 0) and not pcall(math.random, 2, 1)) "
           "assert(math.random(math.mininteger, math.maxinteger))");
    script_close(a);
    script_close(b);
}

static void states_that_set_no_seed_differ(void **state)
{
    (void)state;
    struct script *a = script("print('seed ' .. math.random(1 << 52))");
    struct script *b = script("print('seed ' .. math.random(1 << 52))");
    const char *first = strstr(logged(), "seed "), *second = strstr(first + 5, "seed ");
    assert_non_null(second);
    assert_true(strtoll(first + 5, NULL, 10) != strtoll(second + 5, NULL, 10));
    script_close(a);
    script_close(b);
}

static void bytecode_is_read_by_nothing(void **state)
{
    (void)state;
    struct script *s = script("");
    run(s,
        "local code = string.dump(function() return 1 end) "
        "local function refused(f, why) assert(f == nil and why:find('binary'), why) end "
        "refused(load(code)) refused(load(code, 'x', 'b')) refused(load(code, 'x', "
        "'bt')) "
        "local given = false refused(load(function() if not given then given = true "
        "return code end end)) "
        "assert(load('return 2')() == 2) assert(load('return x', 'x', 't', {x = 3})() == "
        "3)");
    write_file("code.lua", "\033Lua");
    run(s, "local f, why = loadfile('code.lua') assert(f == nil and why:find('binary')) "
           "assert(not pcall(dofile, 'code.lua')) assert(not pcall(require, 'code'))");
    script_close(s);
}

static void files_are_found_beside_the_script(void **state)
{
    (void)state;
    char module[96];
    write_file("part.lua", "return {name = 'part', args = {...}}");
    snprintf(module, sizeof module, "%s/dir", directory);
    assert_int_equal(mkdir(module, 0700), 0);
    write_file("dir/init.lua", "return 'of a directory'");
    write_file("dir/inner.lua", "return 'inner'");
    check(
        "assert(dofile('part.lua').name == 'part') "
        "assert(loadfile('part.lua')().name == 'part') "
        "assert(require('part').args[1] == 'part') "
        "assert(require('part') == require('part')) "
        "assert(require('dir') == 'of a directory' and require('dir.inner') == 'inner') "
        "local f, why = loadfile('none.lua') assert(f == nil and why:find('none.lua')) "
        "assert(not pcall(dofile, 'none.lua')) assert(not pcall(require, 'none')) "
        "for template in package.path:gmatch('[^;]+') do "
        "assert(template:sub(1, 1) == '/', template) end");
}

static void a_module_with_a_mistake_says_where(void **state)
{
    (void)state;
    write_file("bad.lua", "x = 1\ny = = 2");
    struct script *s = script("");
    assert_raises(s, "require 'bad'", "bad.lua:2: ");
    assert_raises(s, "dofile('bad.lua')", "bad.lua:2: ");
    run(s, "local f, why = loadfile('bad.lua') assert(f == nil and why:find('bad.lua:2: "
           "'))");
    script_close(s);
}

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

static void an_error_handler_and_coroutines_work_as_ever(void **state)
{
    (void)state;
    check("local ok, what = xpcall(function() error('a', 0) end, function(m) return m .. "
          "'b' "
          "end) assert(not ok and what == 'ab') "
          "assert(select('#', xpcall(function(...) return ... end, print, 1, nil, nil)) "
          "== 4) "
          "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) "
          "error('end ' .. b, 0) end) "
          "local _, got = coroutine.resume(co, 1) assert(got == 2) "
          "ok, what = coroutine.resume(co, 'x') assert(not ok and what == 'end x') "
          "assert(coroutine.status(co) == 'dead') "
          "local t = {} for i in coroutine.wrap(function() for i = 1, 3 do "
          "coroutine.yield(i) end end) do t[#t + 1] = i end assert(#t == 3) "
          "assert(not coroutine.isyieldable())");
}

static void finalizers_run_when_garbage_is_collected(void **state)
{
    (void)state;
    check("local n = 0 for i = 1, 5 do setmetatable({}, {__gc = function() n = n + 1 "
          "end}) end "
          "collectgarbage() collectgarbage() assert(n == 5, n)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exit_ends_the_request_whatever_would_catch_it),
        TEST(standard_output_is_the_log_line_by_line),
        TEST(random_numbers_are_a_states_own),
        TEST(states_that_set_no_seed_differ),
        TEST(bytecode_is_read_by_nothing),
        TEST(files_are_found_beside_the_script),
        TEST(a_module_with_a_mistake_says_where),
        TEST(children_start_run_and_say_how_they_ended),
        TEST(a_child_that_is_written_to),
        TEST(an_error_handler_and_coroutines_work_as_ever),
        TEST(finalizers_run_when_garbage_is_collected),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
