/* The queue of a listening socket: connections that nobody has accepted yet. */
#ifndef LUAFCGID2_FASTCGI_QUEUE_H
#define LUAFCGID2_FASTCGI_QUEUE_H

#include <stdbool.h>

/* How many are in it, and how many the system lets in. false: the system does not tell.
 * Does not wait for anything. Any thread. */
bool queue_read(int listener, int *waiting, int *most);

#endif
