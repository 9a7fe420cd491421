/* What the tests of functions that wait for another thread share: a request that has a
 * waker. To be included after cmocka.h. */
#ifndef WAKING_FIXTURE_H
#define WAKING_FIXTURE_H

#include "base/clock.h"
#include "base/waker.h"
#include "tests/unit/page_fixture.h"

static struct waker *own_waker;

static inline enum call_fate get_fate(void *owner)
{
    (void)owner;
    return CALL_GOES_ON;
}

static inline bool may_wait(void *owner)
{
    (void)owner;
    return true;
}

static inline struct waker *get_waker(void *owner)
{
    (void)owner;
    return own_waker;
}

static const struct call_operations operations = {
    .fate = get_fate, .may_wait = may_wait, .waker = get_waker};

static inline int set_up_waker(void **state)
{
    own_waker = waker_create();
    return set_up(state) != 0 || own_waker == NULL;
}

static inline int tear_down_waker(void **state)
{
    waker_unref(own_waker);
    return tear_down(state);
}

#define WAKER_TEST(name)                                                                 \
    cmocka_unit_test_setup_teardown(name, set_up_waker, tear_down_waker)

/* As the daemon does: the script goes on when what it waits for has come. */
static inline bool go_on(struct script *s, struct call *call, struct script_error *error)
{
    struct awaited *a = state_awaited(s);
    while (!waker_is_woken(own_waker) && clock_nanoseconds() < a->until)
        ;
    a->came = waker_is_woken(own_waker) ? AWAITED_WAKER : 0;
    return api_go_on(s, call, error);
}

/* What the script answers, until the next call; its error, after "error: ". */
static inline const char *ask(struct script *s)
{
    static char said[4096];
    struct script_error error = {0};
    struct call call = {
        .request = request, .worker = 3, .sessions = sessions, .operations = &operations};
    begin_request((const char *const[]){"A=1", ""});
    bool ok = api_serve(s, &call, &error);
    while (call.waits)
        ok = go_on(s, &call, &error);
    if (ok) {
        const struct buffer *body = request_buffer(request);
        snprintf(said, sizeof said, "%.*s", (int)body->len,
                 body->len > 0 ? body->data : "");
    } else {
        snprintf(said, sizeof said, "error: %s", error.message);
        state_error_clear(&error);
    }
    return said;
}

static inline void assert_answers(const char *body, const char *expected)
{
    struct script *s = page(body);
    const char *said = ask(s);
    if (strcmp(said, expected) != 0)
        fail_msg("%s\nanswers \"%s\", not \"%s\"", body, said, expected);
    script_close(s);
}

static inline void assert_fails(const char *body, const char *part)
{
    struct script *s = page(body);
    const char *said = ask(s);
    if (strncmp(said, "error: ", 7) != 0 || strstr(said, part) == NULL)
        fail_msg("%s\nsays \"%s\", not \"%s\"", body, said, part);
    script_close(s);
}

#endif
