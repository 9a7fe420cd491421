/* What the tests of facilities share: a script whose entry point has a given body, and a
 * state in which values can be compared. To be included after cmocka.h. */
#ifndef PAGE_FIXTURE_H
#define PAGE_FIXTURE_H

#include "tests/unit/script_fixture.h"

/* The text runs in a new state without an error. It has is(a, b), which compares scalars,
 * same(a, b), which compares tables as well, and back(v), which takes a value through
 * lf.serialize and load. */
static inline void check(const char *text)
{
    struct script *s = script(
        "function is(a, b) if a ~= b or math.type(a) ~= math.type(b) then "
        "error(('%q is not %q'):format(tostring(a), tostring(b)), 2) end end\n"
        "function back(v) return assert(load('return ' .. lf.serialize(v)))() end\n"
        "function same(a, b) if type(a) ~= 'table' then return is(a, b) end "
        "for k, v in pairs(a) do same(v, b[k]) end "
        "for k in pairs(b) do is(a[k] == nil, false) end end\n");
    run(s, text);
    script_close(s);
}

/* A script whose entry point has this body. */
static inline struct script *page(const char *body)
{
    char text[2048];
    assert_true(snprintf(text, sizeof text, "function main(env, con) %s end", body) <
                (int)sizeof text);
    return script(text);
}

/* The entry point with this body answers that. */
static inline void assert_page(const char *body, const char *answer)
{
    struct script *s = page(body);
    const char *got = serve(s, "A=1");
    if (strcmp(got, answer) != 0)
        fail_msg("%s\nanswers \"%s\", not \"%s\"", body, got, answer);
    script_close(s);
}

/* The entry point with this body fails with a message that has `part` in it. */
static inline void assert_page_fails(const char *body, const char *part)
{
    struct script *s = page(body);
    struct script_error error = {0};
    begin_request((const char *const[]){"A=1", ""});
    assert_null(answer(s, &error));
    assert_int_equal(error.status, 500);
    if (strstr(error.message, part) == NULL)
        fail_msg("%s\nsays \"%s\", not \"%s\"", body, error.message, part);
    state_error_clear(&error);
    script_close(s);
}

#endif
