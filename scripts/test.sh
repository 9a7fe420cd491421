#!/bin/sh
# Builds the daemon and runs its tests: the unit tests, then pytest on tests/integration
# and tests/fault.
#
#     sh scripts/test.sh [ARGUMENT OF PYTEST]...      for example  -x -k heartbeat
#                                                     or  tests/integration/test_lf.py
#
#     SANITIZE=thread|address   tests that build instead; see the Makefile
#     LUAFCGID2_SOAK=200000     requests of the soak test (20000)
#     LUAFCGID2_PATIENT=1       tests waits of 30 s in full, not with shorter times
#     TEST_SECONDS=600          how long pytest may take
#     CI=true                   a test that is left out here is a failure
#
# Most tests wait more than they compute, so TEST_PROCESSES processes share them (4; where
# there is no pytest-xdist, 1). Those marked `alone` measure something: they run afterwards,
# one by one. So do all where an argument names a file.
#
# Installs what is missing with apt-get: up to 350 MB, most of which is Chromium, for the
# tests of sessions. The exit status is 0 only if tests of both kinds ran and none failed.
set -eu
cd "$(dirname "$0")/.."

sh scripts/install-packages.sh -s nginx -s redis-server -s prometheus -s php8.2-fpm \
    -s php8.4-fpm build-essential \
    pkg-config libfcgi-dev liblua5.3-dev libcmocka-dev python3-pytest python3-pytest-xdist \
    nginx-light lua5.3 curl \
    chromium chromium-driver mandoc groff-base sqlite3 lua-sql-sqlite3 lua-filesystem \
    lua-cjson lua-dkjson lua-socket lua-redis lua-orbit prometheus redis-server php-fpm

mode=${SANITIZE:+SANITIZE=$SANITIZE}
LUAFCGID2=$PWD/${SANITIZE:+.build/$SANITIZE/}luafcgid2
export LUAFCGID2

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT

# Runs a command, shows its output and keeps it in a file. Returns the command's status.
logged() {
    file=$output/$1
    shift
    { "$@" 2>&1 || echo $? >"$file.status"; } | tee "$file"
    [ ! -e "$file.status" ]
}

# Adds up the numbers that an expression captures in a file.
total() {
    sed -n "s/$2/\\1/p" "$output/$1" | awk '{ n += $1 } END { print n + 0 }'
}

failures=0
make -j"$(getconf _NPROCESSORS_ONLN)" ${mode:+"$mode"} all hasty || exit 1
logged unit make -k -j"$(getconf _NPROCESSORS_ONLN)" ${mode:+"$mode"} check-unit || failures=1

# Runs pytest and keeps its output in a file. INT lets it stop the servers that it started.
# That nothing was selected (5) is no failure here: the other run may have had it.
run_pytest() {
    name=$1
    shift
    logged "$name" timeout -s INT -k 60 "${TEST_SECONDS:-600}" \
        /usr/bin/python3 -m pytest -q "$@" || [ "$(cat "$output/$name.status")" -eq 5 ] ||
        failures=1
}

processes=${TEST_PROCESSES:-4}
if ! /usr/bin/python3 -c 'import xdist' 2>/dev/null; then
    echo "There is no pytest-xdist here: one process runs all tests, which takes longer."
    processes=1
fi
case " $* " in
*" tests/"*) processes=1 ;;
*) set -- tests/fault tests/integration "$@" ;;
esac
if [ "$processes" -gt 1 ]; then
    run_pytest together -n "$processes" -m "not alone" "$@"
    set -- -m alone "$@"
fi
run_pytest alone "$@"
cat "$output"/together "$output"/alone >"$output"/pytest 2>/dev/null || :

unit_passed=$(total unit '^\[  PASSED  \] \([0-9]*\) test.*')
unit_failed=$(total unit '^\[  FAILED  \] \([0-9]*\) test.*')
unit_skipped=$(total unit '^\[  SKIPPED \] \([0-9]*\) test.*')
passed=$(total pytest '.*[^0-9]*\b\([0-9][0-9]*\) passed.*')
failed=$(total pytest '^\([0-9][0-9]*\) failed.*')

echo
echo "unit tests: $unit_passed passed, $unit_failed failed, $unit_skipped skipped"
echo "pytest: $passed passed, $failed failed"
if [ "$unit_passed" -eq 0 ] || [ "$passed" -eq 0 ]; then
    echo "One kind of tests did not run at all." >&2
    failures=1
fi
# A sanitizer makes some of them meaningless; nothing else does.
if [ "${CI-}" = true ] && [ -z "${SANITIZE-}" ] && [ "$unit_skipped" -gt 0 ]; then
    echo "CI must be able to run every unit test." >&2
    failures=1
fi
exit "$failures"
