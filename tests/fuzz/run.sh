#!/bin/sh
# Runs the fuzz targets that `make fuzz` has built, one after the other.
#
#     sh tests/fuzz/run.sh DIRECTORY SECONDS [TARGET]...
#
# DIRECTORY has the programs fuzz_TARGET; each runs for so many seconds from a copy of
# tests/fuzz/corpus/TARGET. What breaks one is left in DIRECTORY as TARGET-crash-...,
# TARGET-leak-... or TARGET-timeout-..., and the exit status is then 1. To see it again:
# DIRECTORY/fuzz_TARGET FILE.
set -eu
cd "$(dirname "$0")/../.."
directory=$1
seconds=$2
shift 2
[ $# -gt 0 ] || set -- head connection multipart

corpus=$(mktemp -d)
trap 'rm -rf "$corpus"' EXIT
trap 'exit 130' INT TERM

status=0
for target; do
    cp -R "tests/fuzz/corpus/$target" "$corpus/$target"
    echo "== fuzz_$target, $seconds s, $(find "$corpus/$target" -type f | wc -l) inputs"
    if ! "$directory/fuzz_$target" -max_total_time="$seconds" -max_len=4096 -timeout=60 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$directory/$target-" \
        "$corpus/$target" >"$directory/$target.log" 2>&1; then
        cat "$directory/$target.log"
        echo "fuzz_$target has found something; see $directory/$target-*" >&2
        status=1
    elif ! grep '^stat::number_of_executed_units' "$directory/$target.log"; then
        echo "fuzz_$target did not run to its end" >&2
        status=1
    fi
done
exit $status
