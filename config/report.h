/* Messages of a load. For the files of this folder only. Runs on the thread that loads;
 * blocks as the load's stream of errors does. */
#ifndef LUAFCGID2_CONFIG_REPORT_H
#define LUAFCGID2_CONFIG_REPORT_H

#include "config/loader.h"

/* A mistake: a line on `errors`. The load fails. */
__attribute__((format(printf, 2, 3))) void report_complain(struct loader *l,
                                                           const char *format, ...);

/* A line for config_log_warnings: at the start the log is opened after the configuration
 * was loaded. A warning that finds no memory is lost. */
__attribute__((format(printf, 2, 3))) void report_warn(struct loader *l,
                                                       const char *format, ...);

/* The value at `index` in words, for "got ..."; may use `text`. */
const char *report_describe(lua_State *L, int index, char *text, size_t size);

#endif
