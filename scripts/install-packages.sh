#!/bin/sh
# Installs Debian packages that are missing. Does nothing if none is missing.
#
#     sh scripts/install-packages.sh [-s SERVICE]... PACKAGE...
#
# -s SERVICE  do not start or enable this service when the installation of the packages
#             adds it to the system. A service that was there before does not change.
#
# Needs root, or sudo. Exit status: 0 if all are installed, 1 if not, 2 for wrong usage.
set -eu

say() { printf '%s\n' "$*"; }
die() {
    printf 'install-packages: %s\n' "$*" >&2
    exit 1
}
usage() {
    echo 'usage: sh scripts/install-packages.sh [-s SERVICE]... PACKAGE...' >&2
    exit 2
}

services=
while getopts s: option; do
    case $option in
    s) services="$services $OPTARG" ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

missing() {
    for package; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf ' %s' "$package"
    done
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "this system has no apt-get. Please install what corresponds to: $*"
fi

wanted=$(missing "$@")
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root() { "$@"; }
elif command -v sudo >/dev/null; then
    as_root() { sudo "$@"; }
else
    die "neither root nor sudo. Please have somebody run: apt-get install$wanted"
fi

is_there() { # SERVICE
    if [ -d /run/systemd/system ]; then
        systemctl cat "$1.service" >/dev/null 2>&1
    else
        [ -e "/etc/init.d/$1" ] || [ -e "/lib/systemd/system/$1.service" ]
    fi
}

# A package starts its service when it is installed, so a unit that does not exist yet is
# masked during the installation. With --runtime the mask ends at the next boot, even if
# this script cannot remove it.
masked=
hold_services() {
    for service in $services; do
        ! is_there "$service" || continue
        if [ -d /run/systemd/system ]; then
            say "$service will not be started as a service; apt-get may say that it is masked."
            as_root systemctl mask --runtime --quiet "$service.service"
        fi
        masked="$masked $service"
    done
}

# Removes the masks, and disables the services that the packages have enabled.
release_services() {
    for service in $masked; do
        if [ -d /run/systemd/system ]; then
            as_root systemctl unmask --runtime --quiet "$service.service" || :
            as_root systemctl disable --quiet "$service.service" >/dev/null 2>&1 || :
            say "The service $service is not started. To have it: systemctl enable --now $service"
        elif [ -e "/etc/init.d/$service" ]; then
            as_root update-rc.d "$service" disable >/dev/null || :
            say "The service $service is not started. To have it: update-rc.d $service enable"
        elif is_there "$service"; then
            # There is only a unit, and the system was not booted by systemd.
            as_root systemctl disable --quiet "$service.service" >/dev/null 2>&1 || :
            say "The service $service is not started. To have it: systemctl enable $service"
        fi
    done
    masked=
}

# Without systemd, invoke-rc.d starts only the services of the runlevel, which it reads
# from the environment.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive ${masked:+RUNLEVEL=1} \
        apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# What apt-get would download now, in MB.
to_fetch() {
    # shellcheck disable=SC2086 # a list of package names
    apt install -y --no-install-recommends --print-uris $wanted 2>/dev/null |
        awk "/^'/ { bytes += \$3 } END { printf \"%d\", (bytes + 999999) / 1000000 }"
}

update() {
    updated=yes
    apt -o APT::Update::Error-Mode=any update || {
        updated=
        say 'apt-get update failed; trying with the package lists that are there.'
    }
}

# A mirror can fail for a moment, and another apt-get have the lists. A package that is in
# none of the new lists will not be there in a minute either.
may_pass() {
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$updated" ] || apt install -s -y --no-install-recommends $wanted >/dev/null 2>&1
}

# Tries again after each of these pauses.
install() {
    for pause in 10 30 ''; do
        update
        say "To fetch: $(to_fetch) MB."
        # shellcheck disable=SC2086 # a list of package names
        ! apt install -y --no-install-recommends $wanted || return 0
        [ -n "$pause" ] && may_pass || return 1
        say "apt-get install failed; trying again in $pause seconds."
        sleep "$pause"
    done
}

say "Installing with apt-get:$wanted"
as_root true || die "no rights to install. Please have somebody run: apt-get install$wanted"
trap release_services EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
hold_services
install || die "could not install:$wanted"

wanted=$(missing "$@")
[ -z "$wanted" ] || die "still missing:$wanted"
