#!/bin/sh
# Builds the daemon the ways that people and distributions do, with warnings as errors: what
# a compiler sees in a source depends on how it optimizes, and on its version.
#
#     sh tests/compile.sh [COMPILER...]      gcc and clang, unless some are named
#     SUITE=trixie sh tests/compile.sh       those of another Debian than this system's; needs
#                                            root (or sudo) and apt
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
[ $# -gt 0 ] || set -- gcc clang

# The same in a tree of that Debian.
if [ -n "${SUITE-}" ]; then
    # shellcheck source=tests/service/tree.sh disable=SC1091
    . "$top/tests/service/tree.sh"
    become_root "$0" "$@"
    sh "$top/scripts/install-packages.sh" debootstrap util-linux git
    make_tree compile gcc libc6-dev clang make pkg-config dpkg-dev libfcgi-dev liblua5.3-dev
    # shellcheck disable=SC2154 # tree comes from tree.sh
    source=$(mktemp -d "$tree/srv/compile.XXXXXX")
    trap 'rm -rf "$source"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    copy_source "$source"
    in_tree sh "${source#"$tree"}/tests/compile.sh" "$@"
    exit
fi

cd "$top"
build=.build/compile
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# compile COMPILER CFLAGS [VARIABLE=VALUE...]
compile() {
    compiler=$1 flags=$2
    shift 2
    printf '%s %s\n' "$compiler" "$flags"
    rm -rf "$build"
    make -s -j"$(getconf _NPROCESSORS_ONLN)" WERROR=1 BUILD="$build" BINARY="$build/luafcgid2" \
        CC="$compiler" CFLAGS="$flags" "$@"
}

# debian VARIABLE: what packages are built with, hardened as far as it goes.
debian() { DEB_BUILD_MAINT_OPTIONS=hardening=+all dpkg-buildflags --get "$1"; }

for compiler; do
    for flags in '-O2 -g' -O3 -Os; do
        compile "$compiler" "$flags"
    done
    if command -v dpkg-buildflags >/dev/null; then
        compile "$compiler" "$(debian CFLAGS)" CPPFLAGS="$(debian CPPFLAGS)" \
            LDFLAGS="$(debian LDFLAGS)"
    fi
done
