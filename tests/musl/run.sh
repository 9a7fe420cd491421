#!/bin/sh
# Builds the daemon as one static program with musl-gcc, and runs the core of the
# integration tests against it.
#
#     sh tests/musl/run.sh [PYTEST OPTION...]
#
# Debian has no Lua and no libfcgi for musl, so both are built from its source packages,
# from where this system's apt has its packages. Needs apt; root or sudo only for packages
# that are missing.
# shellcheck disable=SC2154 # cache and tree come from tree.sh
set -eu

top=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# shellcheck source=tests/service/tree.sh disable=SC1091
. "$top/tests/service/tree.sh"

command -v apt-get >/dev/null || skip "this system has no apt-get"
sh "$top/scripts/install-packages.sh" -s nginx build-essential pkg-config musl-tools dpkg-dev \
    util-linux python3-pytest curl nginx-light

# deb_src DIRECTORY: the system's sources of apt as sources of source packages, in both
# forms that apt knows.
deb_src() {
    mkdir -p "$1/parts"
    eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
    for file in "$list" "$parts"/*.list; do
        [ -f "$file" ] || continue
        sed -n 's/^[[:blank:]]*deb\([[:blank:]]\)/deb-src\1/p' "$file"
    done | sort -u >"$1/parts/source.list"
    for file in "$parts"/*.sources; do
        [ -f "$file" ] || continue
        # A paragraph each; one of source packages alone would be there twice.
        awk 'BEGIN { RS = "" }
            sub(/(^|\n)Types:([ \t][^\n]*)?[ \t]deb([ \t][^\n]*)?(\n|$)/, "\nTypes: deb-src\n") {
                sub(/^\n/, "")
                print $0 "\n"
            }' "$file"
    done >"$1/parts/source.sources"
}

# apt DIRECTORY COMMAND...: apt-get with the lists and the cache in DIRECTORY; it writes
# nowhere else, in a directory that the user whom root otherwise downloads as cannot enter.
apt() {
    directory=$1
    shift
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$directory/parts" \
        -o Dir::State::lists="$directory/lists" -o Dir::Cache="$directory/cache" \
        -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=root "$@"
}

compile() { musl-gcc -std=gnu99 -O2 -w -c "$@"; }

# The interpreter as Debian configures it, without lua and luac themselves. (As keep() asks
# how it went, the shell would not stop by itself in any of these.)
build_lua() {
    printf '#define DEB_HOST_MULTIARCH "%s"\n' "$(dpkg-architecture -qDEB_HOST_MULTIARCH)" \
        >src/lua5.3-deb-multiarch.h &&
        rm src/lua.c src/luac.c &&
        compile -DLUA_COMPAT_5_2 -DLUA_USE_POSIX -DLUA_USE_DLOPEN src/*.c &&
        ar rcs "$1/lib/liblua5.3.a" ./*.o &&
        cp src/lua.h src/luaconf.h src/lualib.h src/lauxlib.h src/lua5.3-deb-multiarch.h \
            "$1/include"
}

# What its configure script would find; to have that, autoconf would be needed.
build_fcgi() {
    for header in arpa/inet.h limits.h netdb.h netinet/in.h string.h strings.h \
        sys/param.h sys/socket.h sys/time.h sys/types.h unistd.h; do
        printf '#include <%s>\n' "$header" | musl-gcc -E - >/dev/null || return 1
        printf '#define HAVE_%s 1\n' "$(printf %s "$header" | tr a-z/. A-Z__)"
    done >include/fcgi_config.h
    printf '#define HAVE_SOCKLEN 1\n#define HAVE_STRERROR 1\n#define USE_LOCKING 1\n' \
        >>include/fcgi_config.h &&
        compile -Iinclude libfcgi/fcgiapp.c libfcgi/os_unix.c &&
        ar rcs "$1/lib/libfcgi.a" ./*.o &&
        cp include/fcgiapp.h "$1/include"
}

# A source of another maker may have no source packages; that is no matter.
fetch_sources() {
    apt "$1" update || :
    (cd "$1" && apt "$1" source --only-source lua5.3 libfcgi)
}

# keep() makes $tree.new with this: lib and include.
build_libraries() {
    from=$tree.new/source
    mkdir -p "$from/lists/partial" "$from/cache/archives/partial" "$tree.new/lib" \
        "$tree.new/include" && deb_src "$from" || return 1
    again fetch_sources "$from" &&
        (cd "$from"/lua5.3-*/ && build_lua "$tree.new") &&
        (cd "$from"/libfcgi-*/ && build_fcgi "$tree.new") &&
        rm -rf "$from"
}

# Another test's sudo may have made it.
[ ! -d "$cache" ] || [ -w "$cache" ] || cache=$top/.build/cache
keep musl "$(cksum <"$top/tests/musl/run.sh")" build_libraries

binary=.build/musl/luafcgid2
rm -f "$top/$binary" # the libraries may be newer
make -C "$top" -s -j2 BUILD=.build/musl BINARY="$binary" CC=musl-gcc WERROR=1 LDFLAGS=-static \
    LUA_CFLAGS="-I$tree/include" LUA_LIBS="$tree/lib/liblua5.3.a -lm" \
    FCGI_LIBS="$tree/lib/libfcgi.a" CRYPT_LIBS=

if readelf -lW "$top/$binary" | grep INTERP || readelf -dW "$top/$binary" | grep NEEDED; then
    say "FAILED: $binary is not static" >&2
    exit 1
fi

# None of these is left out: none loads a module in C, which a static program can't.
LUAFCGID2="$top/$binary" /usr/bin/python3 -m pytest -q -p no:cacheprovider \
    "$top/tests/integration/test_scripts.py" "$top/tests/integration/test_response.py" \
    "$top/tests/integration/test_nginx.py" "$@"

strip -o "$top/$binary.stripped" "$top/$binary"
say "static with musl: $(wc -c <"$top/$binary.stripped") bytes," \
    "$(wc -c <"$top/$binary") with what a debugger needs"
