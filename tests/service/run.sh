#!/bin/sh
# Installs luafcgid2 from source into a Debian tree, runs its init script there, then boots
# the tree under systemd and does what an administrator does; and in trees where nothing is
# installed does what the README says: see test_*.py.
#
#     sh tests/service/run.sh [PYTEST OPTION...]
#     SUITE=trixie sh tests/service/run.sh          on another Debian than this system's
#
# Needs root (or sudo), apt, and a kernel that lets systemd-nspawn boot a tree. Where it
# doesn't the tests are skipped, and loudly; with CI=true that is a failure.
# shellcheck disable=SC2154 # suite, cache, base and tree come from tree.sh
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=tests/service/tree.sh disable=SC1091
. "$top/tests/service/tree.sh"

become_root "$0" "$@"
command -v apt-get >/dev/null || skip "this system has no apt-get"
sh "$top/scripts/install-packages.sh" debootstrap systemd-container python3-pytest \
    util-linux iproute2 git make shellcheck mandoc
# The README begins on a machine that has only what every one has, and sudo.
make_tree new systemd systemd-sysv dbus procps iproute2 sudo
new=$tree
make_tree service systemd systemd-sysv dbus procps init-system-helpers nginx-light gcc \
    libc6-dev make pkg-config libfcgi-dev liblua5.3-dev lua-socket lua-sql-sqlite3 logrotate \
    iproute2 man-db passwd

work=$(mktemp -d "$cache/service.XXXXXX")
# shellcheck disable=SC2317,SC2329 # called by trap
clean_up() {
    # Only what is certainly no longer mounted over may be removed.
    if ! grep -q " $work/" /proc/self/mountinfo; then
        rm -rf "$work"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

copy() {
    cp -a "$1" "$2"
    copy_source "$2/usr/src/luafcgid2"
}
copy "$tree" "$work/tree"
copy "$new" "$work/new"
copy "$new" "$work/demo"
copy "$new" "$work/tutorial"
copy "$base" "$work/bare"

say "Booting the tree of $suite"
status=0
/usr/bin/python3 "$top/tests/service/machine.py" "$work/tree" || status=$?
[ "$status" -eq 0 ] || skip "systemd-nspawn cannot boot a Debian tree on this kernel"

LUAFCGID2_TREES="$work" /usr/bin/python3 -m pytest -p no:cacheprovider \
    "$top/tests/service" "$@"
