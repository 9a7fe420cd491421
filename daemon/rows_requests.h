/* Rows of the status about requests: how they ended, how long they took. */
#ifndef LUAFCGID2_DAEMON_ROWS_REQUESTS_H
#define LUAFCGID2_DAEMON_ROWS_REQUESTS_H

/* Main thread, before others. */
void rows_requests_register(void);

#endif
