/* Telling the service manager how the daemon is: the datagrams of sd_notify(3), without
 * its library. Without a manager that listens, everything here does nothing.
 *
 * notify_start is called once by the main thread, before other threads exist and, with
 * Daemonize, after the fork; the rest may then be called from any thread. The manager's
 * queue is short (10 messages on many systems), and full while the manager is busy. */
#ifndef LUAFCGID2_DAEMON_NOTIFY_H
#define LUAFCGID2_DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Reads NOTIFY_SOCKET (a path, or @name for an abstract one), WATCHDOG_USEC and
 * WATCHDOG_PID, and removes them from the environment, so that a script's child neither
 * speaks for the daemon nor takes itself for watched. */
void notify_start(void);

/* Sends a state: lines of "NAME=value", separated by newlines; "WATCHDOG=1", "STATUS=12
 * requests". Does not block. false: there is no manager, or the state could not be sent,
 * for example because the queue is full. The daemon goes on in either case. errno is left
 * as it was. */
bool notify_send(const char *state);

/* The same for what is said once, and must not be lost: "READY=1", "STOPPING=1". Waits
 * for room in the queue, for at most two seconds. */
bool notify_tell(const char *state);

/* As notify_send, formatted; a state of more than 1023 bytes is not sent. */
bool notify_sendf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* RELOADING=1 with the MONOTONIC_USEC of now that belongs to it, as by notify_tell.
 * "READY=1" ends the reload. */
bool notify_reloading(void);

/* How often "WATCHDOG=1" is due, in milliseconds: half of what the manager waits, as
 * sd_watchdog_enabled(3) advises. 0: no watchdog is set, or it is another process's. */
int64_t notify_watchdog(void);

#endif
