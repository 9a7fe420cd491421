/* lf.sha256, lf.hmac_sha256, lf.random, lf.token and lf.equal. */
#ifndef LUAFCGID2_LUA_SECRET_API_H
#define LUAFCGID2_LUA_SECRET_API_H

#include "lua/facility.h"

extern const struct facility secret_api;

#endif
