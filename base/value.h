/* Lua values as bytes: booleans, integers, floats, strings of any bytes, and tables of
 * these. The bytes can be kept outside any Lua state, shared between threads, counted,
 * and written to a file that any machine can read. Owns nothing; no locks. */
#ifndef LUAFCGID2_BASE_VALUE_H
#define LUAFCGID2_BASE_VALUE_H

#include "base/buffer.h"

struct lua_State;

#define VALUE_DEPTH_MAX 100                  /* levels of tables */
#define VALUE_SIZE_MAX  (16u * 1024u * 1024) /* bytes of one encoded value */

/* Appends the encoding of the value at `index` to `out`. Returns NULL, or a static text
 * that says why the value cannot be kept ("a function", "a table that contains itself or
 * is nested too deep", "out of memory"); `out` then is as it was. A table that is met
 * twice is copied twice. Leaves the stack as it found it, calls no metamethods and raises
 * no error. */
const char *value_encode(struct lua_State *L, int index, struct buffer *out);

/* Pushes the value that `data` encodes. Returns false and pushes nothing when the bytes
 * are damaged, or more follows the value: any bytes are safe to pass. May raise Lua's out
 * of memory. */
bool value_push(struct lua_State *L, const char *data, size_t len);

#endif
