/* Running the configuration file. For the files of this folder only. */
#ifndef LUAFCGID2_CONFIG_RUN_H
#define LUAFCGID2_CONFIG_RUN_H

#include "config/loader.h"

/* Makes the Lua state of a load, with limits on its memory and on its time, which begins
 * now. The caller destroys its engine. false: out of memory. */
bool run_begin(struct loader *l);

/* Opens the standard libraries, without the functions that could end the daemon or hold
 * it up. */
void run_open_libraries(lua_State *L);

/* Runs the file. Blocks for CONFIG_LOAD_TIME at most, see config_load. false: it cannot
 * be read or run, which was reported. */
bool run_file(struct loader *l);

#endif
