#!/bin/sh
# Serves the same scripts through nginx, Apache, lighttpd, Caddy, HAProxy and cgi-fcgi as
# Debian has them, each with the configuration in etc/, and prints a table of what worked.
#
#     sh tests/interop/run.sh [PYTEST OPTION...]
#
# The daemon is ./luafcgid2, built if need be, or what LUAFCGID2 names.
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
sh "$top/scripts/install-packages.sh" -s nginx -s apache2 -s lighttpd -s caddy -s haproxy \
    build-essential pkg-config libfcgi-dev liblua5.3-dev python3-pytest \
    nginx-light apache2 lighttpd caddy haproxy libfcgi-bin spawn-fcgi
[ -n "${LUAFCGID2-}" ] || make -C "$top" -s
exec /usr/bin/python3 -m pytest -p no:cacheprovider "$top/tests/interop" "$@"
