/* The listening socket: where luafcgid2 is found, and who may connect. */
#ifndef LUAFCGID2_FASTCGI_LISTENER_H
#define LUAFCGID2_FASTCGI_LISTENER_H

#include "config.h"
#include <stdbool.h>
#include <stddef.h>

/* -- The main thread, before there are others or after they are gone -- */

/* Binds and listens as `config` says; CLOEXEC and non-blocking. Replaces a stale unix
 * socket, refuses a live one or any other file. A socket passed by systemd
 * (sd_listen_fds(3)) is used in place of Listen; `Listen = "fd:N"` is an inherited one
 * too, as spawn-fcgi(1) leaves. -1: `error` has one line for the user. Changes the umask
 * for a moment and the environment: call it before there are threads. */
int listener_listen(const struct config *config, char *error, size_t size);

/* The same for StatusListen, with the modes and owners of Listen, after listener_listen.
 */
int listener_listen_status(const struct config *config, char *error, size_t size);

/* Unlinks the unix sockets that these bound, if they still are there. Inherited
 * sockets are left alone. */
void listener_unlink(void);

/* -- Any thread -- */

/* FCGI_WEB_SERVER_ADDRS (FastCGI 3.2): the IP addresses that may connect over TCP. */
struct listener_peers;

/* Reads the environment. `*peers` is NULL when every peer may connect. false: out of
 * memory. A text that is no address is logged and left out. */
bool listener_peers_create(struct listener_peers **peers);
void listener_peers_destroy(struct listener_peers *peers);

bool listener_is_tcp(int listener);

/* Whether a peer waits to be accepted. Does not block. */
bool listener_ready(int listener);

/* Accepts one connection; CLOEXEC. Does not block. -1 with errno. ECONNABORTED: the peer
 * may not connect, and its connection was closed. */
int listener_accept(int listener, const struct listener_peers *peers);

#endif
