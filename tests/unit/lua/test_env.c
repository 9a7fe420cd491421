/* Env, Cookies, LocalConfig and Info: made on demand, and for one request only. */
#include "lua/env.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

#define PARAMS                                                                           \
    "A=1", "QUERY_STRING=q=1", "SERVER_NAME=site", "HTTP_COOKIE=c=1; d=\"2\"; c=3"

static void env_has_every_parameter(void **state)
{
    (void)state;
    struct script *s =
        script("function main() local n = 0 for k, v in pairs(Env) do n = n + 1 "
               "end return n .. Env.A .. Env.QUERY_STRING .. tostring(Env.EMPTY) "
               ".. tostring(Env.NONE) end");
    /* and FCGI_ROLE, LUAFCGID_VERSION and REQUEST_ID */
    assert_string_equal(serve(s, "A=1", "QUERY_STRING=q=1", "EMPTY="), "61q=1nil");
    script_close(s);
}

static void env_is_the_first_argument_too(void **state)
{
    (void)state;
    struct script *s =
        script("function main(env) assert(env == Env and rawequal(env, Env)) "
               "return env.A .. math.type(env.LUAFCGID_VERSION) end");
    assert_string_equal(serve(s, PARAMS), "1integer");
    script_close(s);
}

static void each_request_has_its_own(void **state)
{
    (void)state;
    struct script *s =
        script("function main() local seen = tostring(Env.B) .. tostring(Env.A) "
               "Env.B = 'mine' Env.A = nil kept = kept or Env "
               "return seen .. tostring(kept.A) end");
    assert_string_equal(serve(s, "A=1"), "nil1nil");
    assert_string_equal(serve(s, "A=1"), "nil1nil"); /* the same text, from the cache */
    assert_string_equal(serve(s, "A=2"), "nil2nil");
    assert_string_equal(serve(s, "C=2", "A=3"), "nil3nil"); /* in another place */
    script_close(s);
}

/* Neither long values nor more than some dozens are kept from request to request. */
static void many_and_long_parameters(void **state)
{
    (void)state;
    struct script *s = script("function main() local t = {} for i = 1, 60 do "
                              "t[i] = Env['P' .. i] end return table.concat(t, ',') end");
    for (int round = 0; round < 3; round++) {
        static char texts[60][128];
        const char *params[61];
        char expected[8192] = "";
        for (int i = 0; i < 60; i++) {
            snprintf(texts[i], sizeof texts[i], "P%d=%0*d", i + 1, i + 1, i * 7 + round);
            params[i] = texts[i];
            strcat(expected, strchr(texts[i], '=') + 1);
            strcat(expected, i < 59 ? "," : "");
        }
        params[60] = "";
        assert_string_equal(serve_params(s, params), expected);
    }
    script_close(s);
}

static void cookies_are_the_requests(void **state)
{
    (void)state;
    struct script *s = script("function main() return Cookies.c .. Cookies.d .. "
                              "tostring(Cookies.e) end");
    assert_string_equal(serve(s, PARAMS), "12nil"); /* the first of a name */
    assert_string_equal(serve(s, "HTTP_COOKIE=d=x; c"), "xnil");
    script_close(s);
}

static void info_names_state_and_worker(void **state)
{
    (void)state;
    struct script *s =
        script("function main() return Info.State .. ' ' .. Info.Thread .. ' ' .. "
               "Info.DataDir end");
    assert_string_equal(serve(s, PARAMS), "1 3 /var/lib/luafcgid2");
    assert_string_equal(serve(s, PARAMS), "1 3 /var/lib/luafcgid2");
    script_close(s);
}

static void a_local_config_is_the_servers(void **state)
{
    (void)state;
    const char *path = write_file("config.lua", "Config = {site = {a = 5}, [1] = 2}");
    config_unref(config);
    config = config_load(path, stderr);
    assert_non_null(config);
    struct script *s = script("function main() return LocalConfig and LocalConfig.a or "
                              "'none' end");
    assert_string_equal(serve(s, PARAMS), "5");
    assert_string_equal(serve(s, "SERVER_NAME=other"), "none");
    assert_string_equal(serve(s, "A=1"), "none");
    script_close(s);
}

/* A script may set these variables, and may forbid new globals, as some modules do. */
static void a_strict_table_of_globals_sees_them(void **state)
{
    (void)state;
    struct script *s = script(
        "setmetatable(_G, {__index = function(_, k) error('undeclared ' .. k, 2) end, "
        "__newindex = function(_, k) error('new ' .. k, 2) end}) "
        "rawset(_G, 'main', function() assert(not pcall(function() return none end)) "
        "return Env.A .. Cookies.c .. Info.Thread .. tostring(rawget(_G, 'LocalConfig')) "
        "end)");
    assert_string_equal(serve(s, PARAMS), "113nil");
    assert_string_equal(serve(s, PARAMS), "113nil");
    script_close(s);
}

static void pairs_over_the_globals_finds_them(void **state)
{
    (void)state;
    struct script *s = script("function main() local found = {} for k in pairs(_G) do "
                              "found[k] = true end return tostring(found.Env and "
                              "found.Cookies and found.Info and found.print) end");
    assert_string_equal(serve(s, PARAMS), "true");
    script_close(s);
}

static void between_requests_there_are_none(void **state)
{
    (void)state;
    struct script *s = script("at_load = tostring(Env) function main() return at_load .. "
                              "Env.A end");
    assert_string_equal(serve(s, PARAMS), "nil1");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(env_has_every_parameter),
        TEST(env_is_the_first_argument_too),
        TEST(each_request_has_its_own),
        TEST(many_and_long_parameters),
        TEST(cookies_are_the_requests),
        TEST(info_names_state_and_worker),
        TEST(a_local_config_is_the_servers),
        TEST(a_strict_table_of_globals_sees_them),
        TEST(pairs_over_the_globals_finds_them),
        TEST(between_requests_there_are_none),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
