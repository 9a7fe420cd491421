/* Zombies that are nobody's.
 *
 * A process whose parent has ended gets another: process 1, or a subreaper. Where that is
 * the daemon, as in a container without an init, it has to take note when they die. */
#ifndef LUAFCGID2_BASE_ORPHAN_H
#define LUAFCGID2_BASE_ORPHAN_H

/* Heartbeat, every few seconds: takes note of the deaths of children that neither
 * process_start nor, at the time of the call before, anybody else seems to wait for.
 * Never blocks. */
void orphan_reap(void);

#endif
