/* What the tests of forms share: the answer to a request with a body. To be included
 * after cmocka.h. */
#ifndef FORM_FIXTURE_H
#define FORM_FIXTURE_H

#include "tests/unit/page_fixture.h"

#define URLENCODED  "application/x-www-form-urlencoded"
#define MULTIPART   "multipart/form-data; boundary=b"
#define DISPOSITION "Content-Disposition: form-data; "

/* What an entry point with this code answers to a body of that type, until the next call:
 * the text, or "STATUS: message". */
static inline const char *answer_to(const char *code, const char *type, const char *body)
{
    static char text[8192];
    char parameter[200];
    struct script *s = page(code);
    struct script_error error = {0};
    snprintf(parameter, sizeof parameter, "CONTENT_TYPE=%s", type);
    begin_request((const char *const[]){"REQUEST_METHOD=POST", parameter,
                                        "QUERY_STRING=a=query&q=1", "HTTP_X_Y=z", ""});
    peer.body = body;
    const char *got = answer(s, &error);
    if (got == NULL)
        snprintf(text, sizeof text, "%d: %s", error.status, error.message);
    else
        snprintf(text, sizeof text, "%s", got);
    state_error_clear(&error);
    script_close(s);
    return text;
}

static inline void assert_answer(const char *code, const char *type, const char *body,
                                 const char *expected)
{
    const char *got = answer_to(code, type, body);
    if (strcmp(got, expected) != 0)
        fail_msg("%s\nanswers \"%s\", not \"%s\"", code, got, expected);
}

/* The answer begins with `status`, and has `part` in it. */
static inline void assert_refused(const char *code, const char *type, const char *body,
                                  const char *status, const char *part)
{
    const char *got = answer_to(code, type, body);
    if (strncmp(got, status, strlen(status)) != 0 || strstr(got, part) == NULL)
        fail_msg("%s\nanswers \"%s\", not \"%s: ... %s ...\"", code, got, status, part);
}

#endif
