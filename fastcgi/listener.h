/* The listening socket: where luafcgid2 is found, and who may connect.
 *
 * connection_listen and connection_unlink (fastcgi/connection.h) are implemented beside
 * these, which only the connection room uses. */
#ifndef LUAFCGID2_FASTCGI_LISTENER_H
#define LUAFCGID2_FASTCGI_LISTENER_H

#include <stdbool.h>

/* FCGI_WEB_SERVER_ADDRS (FastCGI 3.2): the IP addresses that may connect over TCP. */
struct listener_peers;

/* Reads the environment. `*peers` is NULL when everybody may connect. false: out of
 * memory. Addresses that are none are logged and left out. */
bool listener_peers_create(struct listener_peers **peers);
void listener_peers_destroy(struct listener_peers *peers);

bool listener_is_tcp(int listener);

/* Whether somebody waits to be accepted. Does not block. */
bool listener_ready(int listener);

/* Accepts one connection; CLOEXEC. Does not block. -1 with errno; ECONNABORTED for one
 * that may not connect, and has been closed. */
int listener_accept(int listener, const struct listener_peers *peers);

#endif
