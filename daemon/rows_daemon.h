/* Rows of the status about the daemon itself: connections, memory, the heartbeat. */
#ifndef LUAFCGID2_DAEMON_ROWS_DAEMON_H
#define LUAFCGID2_DAEMON_ROWS_DAEMON_H

/* Main thread, before others. */
void rows_daemon_register(void);

#endif
