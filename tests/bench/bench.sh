#!/bin/sh
# Installs what the benchmark needs and is missing, then runs it. Options: --help.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
install=yes
for option in "$@"; do
    case $option in
    -h | --help) install=no ;;
    esac
done
if [ "$install" = yes ]; then
    # The services that the packages bring are not wanted; php-fpm's has its version's name.
    php=$(apt-cache depends php-fpm 2>/dev/null | sed -n 's/.*Depends: \(php[0-9.]*-fpm\)$/\1/p')
    # apache2-bin: the program and its modules, without a service.
    sh "$here/../../scripts/install-packages.sh" -s nginx -s "${php:-php-fpm}" \
        gcc libc6-dev libfcgi-dev nginx-light wrk php-fpm php-apcu apache2-bin valgrind lua-socket python3
fi
exec python3 "$here/run.py" "$@"
