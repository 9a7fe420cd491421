/* Rows of the status about every configured maximum. */
#ifndef LUAFCGID2_DAEMON_ROWS_LIMITS_H
#define LUAFCGID2_DAEMON_ROWS_LIMITS_H

/* Main thread, before others. */
void rows_limits_register(void);

#endif
