#!/bin/sh
# Builds the daemon the ways that people and distributions do, with warnings as errors: what
# a compiler sees in a source depends on how it optimizes.
#
#     sh tests/compile.sh [COMPILER...]      gcc and clang, unless some are named
set -eu
cd "$(dirname "$0")/.."

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

[ $# -gt 0 ] || set -- gcc clang
for compiler; do
    for flags in '-O2 -g' -O3 -Os; do
        compile "$compiler" "$flags"
    done
    if command -v dpkg-buildflags >/dev/null; then
        compile "$compiler" "$(debian CFLAGS)" CPPFLAGS="$(debian CPPFLAGS)" \
            LDFLAGS="$(debian LDFLAGS)"
    fi
done
