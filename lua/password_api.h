/* lf.password_hash and lf.password_verify. */
#ifndef LUAFCGID2_LUA_PASSWORD_API_H
#define LUAFCGID2_LUA_PASSWORD_API_H

#include "lua/facility.h"

extern const struct facility password_api;

#endif
