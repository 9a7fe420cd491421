#!/bin/sh
# Builds for ARM with Debian's cross compilers, and runs the core of the integration tests
# against what came out, under qemu's user mode:
#
#     armel   arm1176 (ARMv6), the processor of the Pi Zero and the first Pi
#     armhf   cortex-a7 (ARMv7), Pi 2 and later on a 32-bit system
#     arm64   cortex-a53, Pi 3 and later on a 64-bit system
#
# Debian's armhf begins at ARMv7, so soft-float armel stands in for Raspberry Pi OS on ARMv6.
#
#     sh tests/arm/run.sh [ARCHITECTURE...]         all of them, unless some are named
#     ONLY_TREE=1 sh tests/arm/run.sh               makes the tree that they need, no more
#
# Needs root (or sudo) and apt.
# shellcheck disable=SC2154 # cache and tree come from tree.sh
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=tests/service/tree.sh disable=SC1091
. "$top/tests/service/tree.sh"

become_root "$0" "$@"
command -v apt-get >/dev/null || skip "this system has no apt-get"
[ "$(dpkg --print-architecture)" = amd64 ] || skip "only set up to cross-build on amd64"

# architecture NAME: sets what it is built and run with.
architecture() {
    case $1 in
    armel) triplet=arm-linux-gnueabi flags=-march=armv6 qemu="qemu-arm -cpu arm1176" ;;
    armhf) triplet=arm-linux-gnueabihf flags=-march=armv7-a+fp qemu="qemu-arm -cpu cortex-a7" ;;
    arm64) triplet=aarch64-linux-gnu flags='' qemu="qemu-aarch64 -cpu cortex-a53" ;;
    *)
        say "not an architecture: $1; expected armel, armhf or arm64" >&2
        exit 2
        ;;
    esac
}

[ $# -gt 0 ] || set -- armel armhf arm64
packages="make pkg-config python3-pytest qemu-user mawk"
for name; do
    architecture "$name"
    packages="$packages gcc-$triplet libc6-dev-$name-cross \
        libfcgi-dev:$name liblua5.3-dev:$name libcmocka-dev:$name libcrypt-dev:$name"
done
sh "$top/scripts/install-packages.sh" debootstrap util-linux git file
# A tree for each choice, with no more than that needs.
# shellcheck disable=SC2086 # a list of packages
make_tree "arm-$(echo "$*" | tr ' ' -)" $packages -- "$@"
[ -z "${ONLY_TREE-}" ] || exit 0

work=$(mktemp -d "$tree/srv/arm.XXXXXX")
trap 'rm -rf "$work"' EXIT
lane=
trap 'kill $lane 2>/dev/null; exit 130' INT
trap 'kill $lane 2>/dev/null; exit 143' TERM HUP
inside=${work#"$tree"}
copy_source "$work/source"

# Those that neither execute themselves, which qemu can't, nor need minutes in it.
units="http/test_header daemon/test_notify daemon/test_pidfile store/test_realm \
    fastcgi/test_record test_request store/test_session base/test_sha256 \
    lua/test_source lua/test_fingerprint lua/test_confine \
    base/test_value"
core="test_scripts test_response test_lf test_modules test_webservers test_heartbeat \
    test_large_files"
# On the smallest of the processors more of them.
more="test_errors test_signals test_socket"

build() {
    cp -a "$work/source" "$work/$1" || return
    targets=all
    for test in $units; do
        targets="$targets .build/release/unit/$test"
    done
    # shellcheck disable=SC2086 # a list of targets
    in_tree make -C "$inside/$1" -s -j2 WERROR=1 CC="$triplet-gcc" CFLAGS="-O2 -g $flags" \
        $targets || return
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$qemu" "$inside/$1/luafcgid2" >"$work/$1/emulated"
    chmod 755 "$work/$1/emulated"
}

# integration ARCHITECTURE TEST...
integration() {
    name=$1
    shift
    files=
    for test; do
        files="$files $inside/$name/tests/integration/$test.py"
    done
    # shellcheck disable=SC2086 # a list of files
    in_tree env LUAFCGID2="$inside/$name/emulated" CC="$triplet-gcc" \
        python3 -m pytest -q -p no:cacheprovider --tb=short $files
}

# check ARCHITECTURE: builds and tests it, and adds what failed to $work/failed.
check() {
    name=$1
    architecture "$name"
    say "== $name: $qemu"
    build "$name" || {
        echo "$name:build" >>"$work/failed"
        return
    }
    file "$work/$name/luafcgid2" | sed 's/.*: //; s/, BuildID.*//'
    if [ "$name" = armel ]; then
        for test in $units; do
            # shellcheck disable=SC2086 # a command and its options
            in_tree $qemu "$inside/$name/.build/release/unit/$test" >"$work/$name.unit" 2>&1 || {
                cat "$work/$name.unit"
                echo "$name:$test" >>"$work/failed"
            }
        done
        # shellcheck disable=SC2086 # a list of tests
        set -- $core $more
    else
        # shellcheck disable=SC2086 # a list of tests
        set -- $core
    fi
    integration "$name" "$@" || echo "$name" >>"$work/failed"
    echo "$name" >>"$work/done"
}

# The first, of which there is most, beside the others: each takes one processor.
first=$1 all=$*
shift
(check "$first") >"$work/first" 2>&1 &
lane=$!
for name; do
    check "$name"
done
wait
cat "$work/first"

if [ -e "$work/failed" ]; then
    say "failed: $(tr '\n' ' ' <"$work/failed")" >&2
    exit 1
fi
# shellcheck disable=SC2086 # a list of architectures
if [ "$(sort "$work/done" | tr '\n' ' ')" != "$(printf '%s\n' $all | sort | tr '\n' ' ')" ]; then
    say "not all of them have been tested" >&2
    exit 1
fi
say "all passed on: $all"
