/* The directory in which a run without a web server (daemon/offline.h) keeps uploads. It
 * is this run's alone, so that a signal can remove all of them at once. What a run leaves
 * that is killed, the next one removes. */
#ifndef LUAFCGID2_DAEMON_RUNDIR_H
#define LUAFCGID2_DAEMON_RUNDIR_H

/* Removes what earlier runs of this user have left in the directory `in`, and makes one
 * there. Returns its path, which is borrowed; NULL: it cannot be made. Main thread, once.
 */
const char *rundir_create(const char *in);

/* Removes it with all that is in it, if there is one. Any thread, as long as nothing is
 * written there any more or the process ends next. */
void rundir_remove(void);

#endif
