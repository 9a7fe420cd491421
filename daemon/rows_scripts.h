/* Rows of the status about scripts and their Lua states. */
#ifndef LUAFCGID2_DAEMON_ROWS_SCRIPTS_H
#define LUAFCGID2_DAEMON_ROWS_SCRIPTS_H

/* Main thread, before others. */
void rows_scripts_register(void);

#endif
