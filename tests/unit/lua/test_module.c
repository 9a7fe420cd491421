/* Where require finds modules. */
#include "lua/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/source.h"
#include "tests/unit/page_fixture.h"

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

static void what_is_not_found_is_named_with_every_place(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_raises(s, "require 'no.such'", "module 'no.such' not found");
    run(s,
        "local ok, why = pcall(require, 'no.such') "
        "assert(why:find('/no/such.lua', 1, true) and "
        "why:find('/no/such/init.lua', 1, true) and why:find('/no/such.so', 1, true))");
    script_close(s);
}

static void a_template_that_the_script_adds_is_searched(void **state)
{
    (void)state;
    char other[96];
    snprintf(other, sizeof other, "%s/other", directory);
    assert_int_equal(mkdir(other, 0700), 0);
    write_file("other/added.lua", "return 'added'");
    struct script *s = script("");
    run(s, "package.path = package.path .. ';other/?.lua' "
           "assert(require 'added' == 'added')");
    run(s, "package.path = nil local ok, why = pcall(require, 'other') "
           "assert(not ok and why:find(\"'package.path' must be a string\", 1, true))");
    script_close(s);
}

static void a_preloaded_module_comes_first(void **state)
{
    (void)state;
    write_file("early.lua", "return 'file'");
    struct script *s = script("");
    run(s, "package.preload.early = function() return 'preloaded' end "
           "assert(require 'early' == 'preloaded')");
    script_close(s);
}

static void a_state_is_renewed_when_a_module_comes_or_changes(void **state)
{
    (void)state;
    write_file("there.lua", "return 1");
    struct script *s = script("require 'there' pcall(require, 'missing')");
    source_sweep(true);
    assert_true(state_is_current(s));
    write_file("missing.lua", "return 2");
    source_sweep(true);
    assert_false(state_is_current(s));
    script_close(s);
    s = script("require 'there'");
    write_file("there.lua", "return 'longer'");
    source_sweep(true);
    assert_false(state_is_current(s));
    script_close(s);
}

static void a_directory_may_have_any_name(void **state)
{
    (void)state;
    char odd[96];
    snprintf(odd, sizeof odd, "%s/a;b?c", directory);
    assert_int_equal(mkdir(odd, 0700), 0);
    write_file("a;b?c/inner.lua", "return 'inner'");
    struct script_error error = {0};
    struct script *s =
        load(write_file("a;b?c/main.lua", "assert(require 'inner' == 'inner')"), &error);
    assert_non_null(s);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_found_beside_the_script),
        TEST(what_is_not_found_is_named_with_every_place),
        TEST(a_template_that_the_script_adds_is_searched),
        TEST(a_preloaded_module_comes_first),
        TEST(a_state_is_renewed_when_a_module_comes_or_changes),
        TEST(a_directory_may_have_any_name),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
