/* How scripts load Lua: source only, and remembered. */
#include "lua/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/source.h"
#include "tests/unit/page_fixture.h"

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

static void bytecode_is_read_where_it_is_allowed(void **state)
{
    (void)state;
    config->allow_bytecode = true;
    struct script *s = script("");
    run(s,
        "local code = string.dump(load('return x, ...')) x = 1 "
        "local function is(f, want) assert(f() == want) end "
        "local function refused(f, why) assert(f == nil and why:find('attempt to load'), "
        "why) end "
        "is(load(code), 1) is(loadstring(code, 'x', 'b'), 1) is(load(code, 'x', 'bt'), "
        "1) "
        "is(load(code, 'x', 'b', {x = 2}), 2) refused(load(code, 'x', 't')) "
        "refused(load('return 1', 'x', 'b')) is(load('return 1'), 1) "
        "local given is(load(function() if not given then given = true return code end "
        "end), 1) "
        "local function write(name, text) local f = io.open(Dir() .. '/' .. name, 'wb') "
        "f:write(text) "
        "f:close() end "
        "write('code.lua', code) write('line.lua', '#!/usr/bin/lua\\n' .. code) "
        "is(loadfile('code.lua'), 1) is(loadfile('line.lua'), 1) "
        "assert(dofile('code.lua') "
        "== 1) assert(require('code') == 1) refused(loadfile('code.lua', 't')) "
        "write('text.lua', 'return 4') refused(loadfile('text.lua', 'b')) "
        "is(loadfile('text.lua'), 4) "
        "local f, why = load(code:sub(1, -5)) assert(f == nil and "
        "why:find('truncated'), why)");
    script_close(s);
    struct script_error error = {0};
    assert_null(load(path_of("code.lua"), &error)); /* a script is source */
    assert_non_null(strstr(error.message, "binary"));
    state_error_clear(&error);
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

static void a_chunk_gets_the_environment_that_is_given(void **state)
{
    (void)state;
    write_file("env.lua", "return x, ...");
    check("local f = load('return x', 'name', 't', {x = 1}) is(f(), 1) "
          "is(loadfile('env.lua', 't', {x = 2})(), 2) "
          "is(load('return 5', 'name', 't', nil)(), 5) "
          "x = 3 is(loadfile('env.lua')(), 3)");
}

static void text_may_come_in_parts(void **state)
{
    (void)state;
    check("local parts, i = {'ret', 'urn ', '1 + 1'}, 0 "
          "is(load(function() i = i + 1 return parts[i] end)(), 2) "
          "local f, why = load(function() return {} end) "
          "assert(f == nil and why:find('must return a string'))");
}

static void dofile_gives_what_the_file_returns(void **state)
{
    (void)state;
    write_file("three.lua", "return 1, nil, 3");
    write_file("fails.lua", "error('of the file')");
    check(
        "is(select('#', dofile('three.lua')), 3) is(select(3, dofile('three.lua')), 3)");
    struct script *s = script("");
    assert_raises(s, "dofile('fails.lua')", "fails.lua:1: of the file");
    assert_raises(s, "dofile('none.lua')", "cannot open none.lua");
    run(s, "local f, why = loadfile('three.lua', 'b') "
           "assert(f == nil and why:find('only source can be loaded'))");
    script_close(s);
}

static void a_state_is_renewed_when_such_a_file_changes_or_comes(void **state)
{
    (void)state;
    write_file("part.lua", "return 1");
    struct script *s = script("dofile('part.lua') pcall(dofile, 'later.lua')");
    source_sweep(true);
    assert_true(state_is_current(s));
    write_file("later.lua", "return 2");
    source_sweep(true);
    assert_false(state_is_current(s));
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytecode_is_read_by_nothing),
        TEST(bytecode_is_read_where_it_is_allowed),
        TEST(a_module_with_a_mistake_says_where),
        TEST(a_chunk_gets_the_environment_that_is_given),
        TEST(text_may_come_in_parts),
        TEST(dofile_gives_what_the_file_returns),
        TEST(a_state_is_renewed_when_such_a_file_changes_or_comes),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
