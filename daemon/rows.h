/* The rows of the status: which groups there are, and in which order they are told. */
#ifndef LUAFCGID2_DAEMON_ROWS_H
#define LUAFCGID2_DAEMON_ROWS_H

/* Registers all of them. Main thread, once, before there are others. */
void rows_register(void);

#endif
