/* lf.query, lf.form, lf.field, lf.files and lf.header: what the client sent. */
#ifndef LUAFCGID2_LUA_FORM_API_H
#define LUAFCGID2_LUA_FORM_API_H

#include "lua/facility.h"

extern const struct facility form_api;

#endif
