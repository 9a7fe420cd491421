/* Lua's patterns (Lua 5.3 reference manual, 6.4.1), matched so that limits reach them.
 *
 * A pattern that backtracks may take the square or more of the length of its subject, and
 * both may come from a client. The library's own matcher runs in C, where no hook ends
 * it. This one looks at the limits of the state every now and then. What it matches, and
 * what its errors say, is the same. */
#ifndef LUAFCGID2_LUA_PATTERN_H
#define LUAFCGID2_LUA_PATTERN_H

#include "lua/guard.h"

#include <lua.h>
#include <stddef.h>

#define PATTERN_CAPTURES_MAX 32

struct pattern_capture {
    const char *at;
    ptrdiff_t len; /* or what lua/pattern.c says of less than 0 */
};

/* One search. The strings must outlive it. */
struct pattern {
    lua_State *L;
    guard_look look; /* at the limits */
    const char *subject, *subject_end;
    const char *end; /* of the pattern */
    unsigned steps;  /* since the beginning; they wrap around */
    int depth;       /* of the matches inside each other */
    int count;       /* of captures */
    struct pattern_capture captures[PATTERN_CAPTURES_MAX];
};

void pattern_begin(struct pattern *m, lua_State *L, guard_look look, const char *subject,
                   size_t subject_len, const char *pattern, size_t pattern_len);

/* Matches the pattern from `p` on at the place `s` of the subject. Returns where the
 * match ends; NULL: there is none. Raises an error for a malformed pattern or a broken
 * limit. */
const char *pattern_match(struct pattern *m, const char *s, const char *p);

/* Pushes the capture `n`, from 0 on. The match is from `s` to `e`: the value of the first
 * capture where the pattern has none. Raises an error if there is no such capture. */
void pattern_push_capture(struct pattern *m, int n, const char *s, const char *e);

/* Pushes all captures, and returns how many. `s` NULL: no capture means nothing. */
int pattern_push_captures(struct pattern *m, const char *s, const char *e);

#endif
