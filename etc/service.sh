#!/bin/sh
# What the Makefile's install-daemon, update and uninstall do to the running system. They
# call it only when DESTDIR is empty.
#
#   service.sh installed USER GROUP   makes the directories, tells systemd about new
#                                     units, and says what to do now
#   service.sh updated                restarts the service if it runs
#   service.sh leaving                stops the service and disables it
#   service.sh left                   tells systemd that the units are gone

set -eu

under_systemd() {
    [ -d /run/systemd/system ]
}

script=/etc/init.d/luafcgid2
[ -x "$script" ] || script=/usr/local/etc/rc.d/luafcgid2

# The commands of rc.subr need a prefix if luafcgid2_enable is not set.
case $script in
*/rc.d/*) one=one ;;
*) one= ;;
esac

runs_by_script() {
    [ -x "$script" ] && "$script" "${one}status" >/dev/null 2>&1
}

installed() {
    install -d -o "$1" -g "$2" -m 0750 /var/log/luafcgid2
    install -d -o "$1" -g "$2" -m 0700 /var/lib/luafcgid2
    if under_systemd; then
        systemctl daemon-reload
        systemd-tmpfiles --create luafcgid2.conf
        if systemctl --quiet is-active luafcgid2.service; then
            echo "now: systemctl restart luafcgid2, since the old one still runs"
        else
            echo "now: systemctl enable --now luafcgid2"
        fi
    elif runs_by_script; then
        echo "now: service luafcgid2 restart, since the old one still runs"
    elif [ -d /etc/init.d ]; then
        echo "now: update-rc.d luafcgid2 defaults; service luafcgid2 start"
    else
        echo "now: sysrc luafcgid2_enable=YES; service luafcgid2 start"
    fi
}

updated() {
    if under_systemd; then
        systemctl try-restart luafcgid2.service
    elif runs_by_script; then
        "$script" "${one}restart"
    fi
}

leaving() {
    if under_systemd; then
        for unit in luafcgid2.socket luafcgid2.service; do
            ! systemctl --quiet is-active "$unit" || systemctl stop "$unit"
        done
    elif runs_by_script; then
        "$script" "${one}stop"
    fi
    # This only removes links, so it also works when systemd is not running.
    if command -v systemctl >/dev/null; then
        systemctl --quiet disable luafcgid2.service luafcgid2.socket 2>/dev/null || true
    fi
}

left() {
    if under_systemd; then
        systemctl daemon-reload
    fi
    if command -v update-rc.d >/dev/null; then
        update-rc.d luafcgid2 remove
    fi
}

case ${1-} in
installed | updated | leaving | left)
    "$@"
    ;;
*)
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
