# shellcheck shell=sh
# shellcheck disable=SC2154 # top comes from whoever sources this
# Debian trees for tests: sourced by the scripts of tests/ that want some, with $top the top of
# the source.
#
# SUITE=trixie makes them of that release of Debian; otherwise they are of this system's.
#
# A tree costs half a minute to make, so it is kept between runs in LUAFCGID2_CACHE
# (default: ~/.cache/luafcgid2). Beside it stands what it was made from; when that is no
# longer what is asked for, or a month old, it is made again.

# shellcheck source=/dev/null
suite=${SUITE:-$(. /etc/os-release && echo "${VERSION_CODENAME-}")}
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

# The mirror of Debian that apt uses here, at best for that suite.
mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        awk -v suite="$1" '$1 ~ /\/debian\/?$/ && (site == "" || $2 == suite) { site = $1 }
            END { print site }'
}

# keep NAME KEY COMMAND...: sets $tree to $cache/NAME. Unless it is there, made of KEY and
# not too old, COMMAND makes it in $tree.new.
keep() {
    tree=$cache/$1
    key="$2 $(cksum <"$top/tests/service/tree.sh")"
    shift 2
    mkdir -p "$cache"
    # One run at a time makes it; the others then find it.
    exec 9>"$tree.lock"
    flock 9
    if [ ! -d "$tree" ] || [ "$(cat "$tree.key" 2>/dev/null)" != "$key" ] ||
        [ -n "$(find "$tree.key" -mtime +30)" ]; then
        say "Making $tree"
        rm -rf "$tree.key" "$tree" "$tree.new"
        if ! "$@" >"$tree.log" 2>&1; then
            tail -n 30 "$tree.log" >&2
            say "it could not be made; all of it is in $tree.log" >&2
            rm -rf "$tree.new"
            exit 1
        fi
        mv "$tree.new" "$tree"
        printf '%s\n' "$key" >"$tree.key"
    fi
    exec 9>&-
}

# again COMMAND...: what needs a mirror, which can fail for a moment.
again() {
    for pause in 10 30; do
        ! "$@" || return 0
        say "failed: $*; trying again in $pause seconds"
        sleep "$pause"
    done
    "$@"
}

bootstrap() {
    rm -rf "$tree.new"
    debootstrap --variant=minbase "$suite" "$tree.new" ${site:+"$site"}
}

build_base() {
    site=$(mirror "$suite")
    again bootstrap || return 1
    echo 127.0.0.1 localhost >"$tree.new/etc/hosts"
    # No tree outlives a power cut: no need to wait for the disk after each file.
    echo force-unsafe-io >"$tree.new/etc/dpkg/dpkg.cfg.d/unsafe-io"
}

# fetch PACKAGE...: installs them in $tree.new.
fetch() {
    chroot "$tree.new" apt-get -q -o Acquire::Languages=none -o Acquire::Retries=3 \
        -o APT::Update::Error-Mode=any update &&
        DEBIAN_FRONTEND=noninteractive chroot "$tree.new" \
            apt-get -q -y -o Acquire::Retries=3 --no-install-recommends install "$@"
}

# Packages, and with -- before them foreign architectures.
build_tree() {
    cp -a "$base" "$tree.new" || return 1
    wanted=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        wanted="$wanted $1"
        shift
    done
    for architecture; do
        [ "$architecture" = -- ] ||
            chroot "$tree.new" dpkg --add-architecture "$architecture" || return 1
    done
    # shellcheck disable=SC2086 # a list of packages
    again fetch $wanted || return 1
    chroot "$tree.new" apt-get -q clean
}

# make_tree NAME PACKAGE... [-- ARCHITECTURE...]: sets $tree to a Debian tree with these
# packages, some of them of the foreign architectures, and $base to one with nothing.
make_tree() {
    name=$1
    shift
    keep "$suite-base" "$suite" build_base
    base=$tree
    keep "$suite-$name" "$suite $*" build_tree "$@"
}

# in_tree COMMAND...: in the tree, with /proc, which goes together with the command.
in_tree() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount --propagation private sh -c \
        'mount -t proc proc "$0/proc" && exec chroot "$0" env -i \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 CI="${CI-}" "$@"' \
        "$tree" "$@"
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
