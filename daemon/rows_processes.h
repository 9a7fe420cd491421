/* Rows of the status about php-fpm's keys, and each worker. */
#ifndef LUAFCGID2_DAEMON_ROWS_PROCESSES_H
#define LUAFCGID2_DAEMON_ROWS_PROCESSES_H

/* Main thread, before others. */
void rows_processes_register(void);

#endif
