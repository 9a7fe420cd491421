/* Zombies that no part of the daemon waits for.
 *
 * When the parent of a process ends, process 1 or a subreaper becomes its parent. Where
 * that is the daemon, as in a container without an init, the daemon must wait for it when
 * it dies. */
#ifndef LUAFCGID2_BASE_ORPHAN_H
#define LUAFCGID2_BASE_ORPHAN_H

/* Heartbeat, every few seconds: waits for dead children that process_start did not start
 * and that were zombies at the last call already, so that nothing else seems to wait for
 * them. Never blocks. */
void orphan_reap(void);

#endif
