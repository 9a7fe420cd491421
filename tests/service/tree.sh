# shellcheck shell=sh
# shellcheck disable=SC2154 # top comes from whoever sources this
# Debian trees for tests: sourced by the run.sh of tests/service and tests/arm, with $top
# the top of the source.
#
# A tree costs half a minute to make, so it is kept between runs in LUAFCGID2_CACHE
# (default: ~/.cache/luafcgid2). Beside it stands what it was made from; when that is no
# longer what is asked for, or a month old, it is made again.

cache=${LUAFCGID2_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/luafcgid2}

say() { printf '%s\n' "$*"; }

# skip REASON: this machine can't do it. In CI that is a failure: there it must.
skip() {
    if [ "${CI-}" = true ]; then
        say "FAILED, since CI must be able to do this: $*" >&2
        exit 1
    fi
    say "*** SKIPPED, NOTHING WAS TESTED: $* ***" >&2
    exit 0
}

# become_root "$0" "$@": the script goes on as root, or skips.
become_root() {
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null || skip "needs root, or sudo"
    export LUAFCGID2_CACHE="$cache"
    exec sudo -E sh "$@"
}

# The mirror that apt uses here.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        awk -v suite="$1" '$2 == suite && $1 ~ /\/debian\/?$/ { print $1; exit }'
}

# make_tree NAME PACKAGE... [-- ARCHITECTURE PACKAGE:ARCHITECTURE...]...: sets $tree.
# After each -- come a foreign architecture and what is installed of it.
make_tree() {
    name=$1
    shift
    tree=$cache/$name
    mkdir -p "$cache"
    # One run at a time makes it; the others then find it.
    exec 9>"$cache/$name.lock"
    flock 9
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    key="$suite $* $(cksum <"$top/tests/service/tree.sh")"
    if [ -d "$tree" ] && [ "$(cat "$tree.key" 2>/dev/null)" = "$key" ] &&
        [ -z "$(find "$tree.key" -mtime +30)" ]; then
        exec 9>&-
        return
    fi
    say "Making a Debian tree in $tree"
    rm -rf "$tree.key" "$tree" "$tree.new"
    if ! build_tree "$@" >"$tree.log" 2>&1; then
        tail -n 30 "$tree.log" >&2
        rm -rf "$tree.new"
        say "the Debian tree could not be made; all of it is in $tree.log" >&2
        exit 1
    fi
    mv "$tree.new" "$tree"
    printf '%s\n' "$key" >"$tree.key"
    exec 9>&-
}

build_tree() {
    native=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        native=$native,$1
        shift
    done
    site=$(mirror "$suite")
    debootstrap --variant=minbase --include="${native#,}" "$suite" "$tree.new" \
        "${site:-http://deb.debian.org/debian}" || return 1
    [ $# -gt 0 ] || return 0
    foreign=
    for word; do
        case $word in
        --) ;;
        *:*) foreign="$foreign $word" ;;
        *) chroot "$tree.new" dpkg --add-architecture "$word" || return 1 ;;
        esac
    done
    chroot "$tree.new" apt-get -q update || return 1
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive chroot "$tree.new" \
        apt-get -q -y --no-install-recommends install $foreign || return 1
    chroot "$tree.new" apt-get -q clean
}

# copy_source DIRECTORY: what git has or would take, as it is in the working tree; without
# git everything.
copy_source() {
    mkdir -p "$1"
    if git -C "$top" rev-parse --git-dir >/dev/null 2>&1; then
        # shellcheck disable=SC2016 # for the inner shell
        (cd "$top" && git ls-files -z -co --exclude-standard |
            xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh |
            tar -c --null -T - -f -) | tar -x -C "$1" -f -
    else
        tar -C "$top" -c --exclude=./.build --exclude=./luafcgid2 -f - . | tar -x -C "$1" -f -
    fi
}
