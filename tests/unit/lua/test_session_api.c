/* Sessions as scripts see them: Session.* and con.session:*, on a real store. */
#include "lua/session_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/unit/script_fixture.h"

static bool sent_a_cookie(void)
{
    return request_session_cookie(request)->len > 0;
}

/* What a browser says of itself, and the cookie of the last response, if there was one.
 */
static const char *visit(struct script *s)
{
    static char cookie[256] = "HTTP_COOKIE=";
    if (sent_a_cookie()) {
        const char *text = request_session_cookie(request)->data;
        size_t len = strcspn(text, ";");
        snprintf(cookie, sizeof cookie, "HTTP_COOKIE=%.*s", (int)len, text);
    }
    return serve(s, "REMOTE_ADDR=192.0.2.1", "HTTP_USER_AGENT=Browser/1.0", cookie);
}

static void forget_cookies(void)
{
    buffer_clear(request_session_cookie(request), 0);
}

static void a_variable_is_there_at_the_next_visit(void **state)
{
    (void)state;
    struct script *s = script("function main() local n = Session.GetVar('r', 'n') or 0 "
                              "assert(Session.SetVar('r', 'n', n + 1)) return n end");
    assert_string_equal(visit(s), "0");
    assert_true(sent_a_cookie());
    assert_string_equal(visit(s), "1");
    assert_false(sent_a_cookie());
    assert_string_equal(visit(s), "2");
    assert_string_equal(serve(s, "HTTP_COOKIE=XLuaSession=none"),
                        "0"); /* never adopted */
    script_close(s);
}

static void values_keep_their_types(void **state)
{
    (void)state;
    struct script *s = script(
        "values = {true, false, 1, 1.0, -1, 0.1, '', 'a\\0b', {1, {x = 'y'}, [2.5] = "
        "false}} "
        "function main() if not Session.HasRealm('r') then for i, v in ipairs(values) do "
        "assert(Session.SetVar('r', 'v' .. i, v)) end return 'set' end "
        "for i, v in ipairs(values) do local got = Session.GetVar('r', 'v' .. i) "
        "assert(type(got) == type(v) and math.type(got) == math.type(v)) "
        "assert(type(v) == 'table' or got == v) end "
        "local t = Session.GetVar('r', 'v9') "
        "assert(t[1] == 1 and t[2].x == 'y' and t[2.5] == false) return 'same' end");
    assert_string_equal(visit(s), "set");
    assert_string_equal(visit(s), "same");
    script_close(s);
}

/* Values longer than what is read at once. */
static void long_values(void **state)
{
    (void)state;
    struct script *s = script(
        "function main() local v = ('0123456789'):rep(1000) for i = 250, 270 do "
        "assert(Session.SetVar('r', 'v', v:sub(1, i))) "
        "assert(Session.GetVar('r', 'v') == v:sub(1, i)) end "
        "assert(Session.SetVar('r', 'v', v)) return #Session.GetVar('r', 'v') end");
    assert_string_equal(visit(s), "10000");
    script_close(s);
}

static void nil_deletes(void **state)
{
    (void)state;
    struct script *s = script("function main() Session.SetVar('r', 'a', 1) "
                              "Session.SetVar('r', 'b', 2) Session.SetVar('r', 'a', nil) "
                              "return tostring(Session.GetVar('r', 'a')) .. "
                              "Session.GetVar('r', 'b') end");
    assert_string_equal(visit(s), "nil2");
    script_close(s);
}

static void reading_starts_no_session(void **state)
{
    (void)state;
    struct script *s =
        script("function main() return tostring(Session.GetVar('r', 'n')) .. "
               "tostring(Session.HasRealm('r')) .. tostring(Session.Id()) .. "
               "tostring(Session.Clear('r')) .. tostring(Session.Delete()) .. "
               "tostring(Session.SetVar('r', 'n', nil)) end");
    forget_cookies();
    assert_string_equal(visit(s), "nilfalsenilfalsefalsefalse");
    assert_false(sent_a_cookie());
    assert_int_equal(store_count(sessions), 0);
    script_close(s);
}

static void a_value_that_cannot_be_kept_is_said_and_false(void **state)
{
    (void)state;
    struct script *s = script("function main() return tostring(Session.SetVar('r', 'n', "
                              "print)) end");
    assert_string_equal(visit(s), "false");
    assert_logged("Session.SetVar");
    script_close(s);
}

static void realms_are_apart_and_a_star_is_all_of_them(void **state)
{
    (void)state;
    struct script *s = script(
        "function main() Session.SetVar('a', 'x', 1) Session.SetVar('b', 'y', 2) "
        "assert(Session.GetVar('a', 'y') == nil and Session.GetVar('*', 'y') == 2) "
        "Session.SetVar('*', 'z', 3) assert(Session.GetVar('a', 'z') == 3 and "
        "Session.GetVar('b', 'z') == 3) "
        "Session.Clear('a') assert(Session.GetVar('a', 'x') == nil and "
        "Session.GetVar('b', 'y') == 2) "
        "Session.Clear('*') return tostring(Session.GetVar('b', 'y')) end");
    assert_string_equal(visit(s), "nil");
    script_close(s);
}

static void a_deleted_session_is_gone_and_its_cookie_taken_back(void **state)
{
    (void)state;
    struct script *s = script("function main() if Session.GetVar('r', 'n') then "
                              "return tostring(Session.Delete()) end "
                              "Session.SetVar('r', 'n', 1) return 'new' end");
    assert_string_equal(visit(s), "new");
    assert_string_equal(visit(s), "true");
    assert_true(sent_a_cookie());
    assert_int_equal(store_count(sessions), 0);
    assert_string_equal(visit(s), "new");
    script_close(s);
}

static void a_new_key_has_the_old_data(void **state)
{
    (void)state;
    struct script *s =
        script("function main() local n = (Session.GetVar('r', 'n') or 0) + 1 "
               "Session.SetVar('r', 'n', n) local before = Session.Id() "
               "assert(n ~= 2 or Session.Regenerate()) "
               "return n .. tostring(Session.Id() == before) end");
    assert_string_equal(visit(s), "1true");
    assert_string_equal(visit(s), "2false");
    assert_true(sent_a_cookie());
    assert_string_equal(visit(s), "3true");
    assert_int_equal(store_count(sessions), 1);
    script_close(s);
}

static void methods_do_the_same(void **state)
{
    (void)state;
    struct script *s = script(
        "function main(env, con) local t = con.session assert(t:start()) "
        "assert(t:setvar('r', 'n', 5)) assert(Session.GetVar('r', 'n') == 5) "
        "assert(t:getvar('r', 'n') == 5 and t:hasrealm('r') and t:id() == Session.Id()) "
        "assert(t:clear('r') and t:getvar('r', 'n') == nil) "
        "return tostring(t:regenerate()) .. tostring(t:delete()) end");
    assert_string_equal(visit(s), "truetrue");
    script_close(s);
}

/* Somebody may have planted a cookie beside the real one. */
static void the_real_one_among_cookies_of_its_name_is_found(void **state)
{
    (void)state;
    char cookies[128];
    struct script *s =
        script("function main() if Session.GetVar('r', 'n') then return 'found' "
               "end Session.SetVar('r', 'n', 1) return 'new' end");
    forget_cookies();
    assert_string_equal(serve(s, "REMOTE_ADDR=192.0.2.1"), "new");
    const char *sent = request_session_cookie(request)->data;
    int len = (int)strcspn(sent, ";");
    assert_true(snprintf(cookies, sizeof cookies,
                         "HTTP_COOKIE=XLuaSession=planted; x=1; %.*s", len,
                         sent) < (int)sizeof cookies);
    assert_string_equal(serve(s, "REMOTE_ADDR=192.0.2.1", cookies), "found");
    assert_string_equal(
        serve(s, "REMOTE_ADDR=198.51.100.1", "HTTP_USER_AGENT=Another", cookies),
        "new"); /* somebody else, by the score */
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_variable_is_there_at_the_next_visit),
        TEST(values_keep_their_types),
        TEST(long_values),
        TEST(nil_deletes),
        TEST(reading_starts_no_session),
        TEST(a_value_that_cannot_be_kept_is_said_and_false),
        TEST(realms_are_apart_and_a_star_is_all_of_them),
        TEST(a_deleted_session_is_gone_and_its_cookie_taken_back),
        TEST(a_new_key_has_the_old_data),
        TEST(methods_do_the_same),
        TEST(the_real_one_among_cookies_of_its_name_is_found),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
