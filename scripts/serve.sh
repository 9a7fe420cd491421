#!/bin/sh
# Serves a directory of Lua scripts and files with an nginx and a daemon of its own.
#
#     luafcgid2-serve [-c FILE] [-q] [DIR] [PORT]
#
# For a site while it is written: on http://127.0.0.1:PORT/, as the user who calls it (root
# calls it for the owner of DIR, or for www-data). Errors show on the page, edits at once,
# the log is in the terminal, and Ctrl-C stops it. What scripts keep in Info.DataDir stays,
# in that user's ~/.local/share/luafcgid2; the rest is in a temporary directory, which is
# removed at the end. The nginx and the daemon of the system are left alone.
set -eu

usage() {
    cat <<'END'
usage: luafcgid2-serve [-c FILE] [-q] [DIR] [PORT]
  DIR      what to serve; default: the current directory
  PORT     on 127.0.0.1; default 8080
  -c FILE  more of the daemon's configuration, as luafcgid2-config(5) describes it
  -q       say nothing but what the programs say
END
}

say() { printf '%s\n' "$*"; }
die() {
    printf 'luafcgid2-serve: %s\n' "$*" >&2
    exit 1
}

quiet=
more=
while getopts c:qh option; do
    case $option in
    c) more=$OPTARG ;;
    q) quiet=yes ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -le 2 ] || { usage >&2; exit 2; }
site=${1:-.}
port=${2:-8080}
case $port in
*[!0-9]* | ??????* | '') die "'$port' is not a port; expected a number from 1 to 65535" ;;
esac
if [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; then
    die "'$port' is not a port; expected a number from 1 to 65535"
fi
[ -z "$more" ] || [ -r "$more" ] || die "$more cannot be read"
site=$(CDPATH='' cd -- "$site" 2>/dev/null && pwd) || die "$1 is no directory that can be entered"

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where nginx is, also for ordinary users
command -v nginx >/dev/null || die 'nginx is not installed (Debian: apt-get install nginx-light)'

# The daemon that LUAFCGID2 names, or the one beside this file, or of the source that this
# file is part of, or in PATH.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
program=
for candidate in "${LUAFCGID2:-}" "$here/luafcgid2" "$here/../luafcgid2" "$(command -v luafcgid2 || :)"; do
    if [ -z "$program" ] && [ -f "$candidate" ] && [ -x "$candidate" ]; then
        program=$candidate
    fi
done
[ -n "$program" ] || die 'the program luafcgid2 is not there; build or install it first'

# -- Whose processes ------------------------------------------------------------------

# Nothing here needs root.
account=
run_as() { # ACCOUNT COMMAND...: execs the command, so use a subshell; "" is the caller
    who=$1
    shift
    if [ -n "$who" ]; then
        exec setpriv --reuid="$who" --regid="$(id -g "$who")" --init-groups -- "$@"
    fi
    exec "$@"
}

choose_account() {
    if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
        return
    fi
    account=$(stat -c %U "$site")
    if [ "$account" = root ] || ! id "$account" >/dev/null 2>&1; then
        account=www-data
        if ! id "$account" >/dev/null 2>&1 ||
            ! (run_as "$account" test -r "$site" -a -x "$site" -a -x "$program") 2>/dev/null; then
            say "Only root can read $site: nginx and the daemon will run as root."
            say 'They will not in a copy that others can read, in /opt for example.'
            account=
        fi
    fi
}

# Where the scripts keep what must last: a directory of whoever runs them. Where he can have
# none it is a temporary one.
data=
choose_data() {
    home=${HOME:-/nonexistent}
    if [ -n "$account" ]; then
        home=$(getent passwd "$account" | cut -d: -f6)
    fi
    data=${XDG_DATA_HOME:-$home/.local/share}/luafcgid2
    if ! (run_as "$account" mkdir -p "$data") 2>/dev/null ||
        ! (run_as "$account" test -w "$data"); then
        data=$dir/data
        mkdir "$data"
    fi
}

# -- Configurations -------------------------------------------------------------------

daemon_config() {
    if [ -n "$more" ]; then
        cat -- "$more"
        echo
    fi
    cat <<END
DataDir = DataDir or "$data"
Listen = "$dir/luafcgid2.sock"
MinFileInfoTime = 200 -- look for edited files five times a second
DefaultContentType = "text/html; charset=utf-8"
ShowErrors = true
LogFilePath = ""
PidFile = ""
Daemonize = false
END
}

# The directories that this nginx would otherwise expect below /var.
nginx_temp_paths() {
    echo "    client_body_temp_path \"$dir/client_body\";"
    built=$(nginx -V 2>&1)
    for module in fastcgi proxy uwsgi scgi; do
        case $built in
        *"--without-http_${module}_module"*) ;;
        *) echo "    ${module}_temp_path \"$dir/$module\";" ;;
        esac
    done
}

# A directory without an index is listed, where this nginx can do so.
nginx_listing() {
    case $(nginx -V 2>&1) in
    *--without-http_autoindex_module*) ;;
    *) echo '        autoindex on;' ;;
    esac
}

nginx_types() {
    if [ -r /etc/nginx/mime.types ]; then
        echo '    include /etc/nginx/mime.types;'
        return
    fi
    cat <<'END'
    types {
        text/html html htm; text/css css; text/plain txt; application/javascript js mjs;
        application/json json; image/svg+xml svg; image/png png; image/jpeg jpg jpeg;
        image/gif gif; image/webp webp; image/x-icon ico; font/woff2 woff2;
        application/pdf pdf; application/wasm wasm; video/mp4 mp4; audio/mpeg mp3;
    }
END
}

nginx_config() {
    if [ "$(id -u)" -eq 0 ] && [ -z "$account" ]; then
        echo 'user root;' # the default user of the workers could not read the site
    fi
    cat <<END
daemon off;
worker_processes 1;
pid "$dir/nginx.pid";
error_log stderr;
events {
    worker_connections 512;
}
http {
    access_log "$dir/access.log";
    client_max_body_size 64m; # as MaxUploadSize
$(nginx_temp_paths)
$(nginx_types)
    default_type application/octet-stream;
    charset utf-8;
    upstream luafcgid2 {
        server "unix:$dir/luafcgid2.sock";
        keepalive 8;
    }
    server {
        listen 127.0.0.1:$port;
        server_name localhost;
        root "$dir/site";
        index index.lua index.html;
$(nginx_listing)
        add_header Cache-Control no-cache; # an edited file is seen at once
        location = /favicon.ico {
            log_not_found off; # which browsers ask for by themselves
        }
        location ^~ /lib/ {
            return 404;
        }
        location ~* /\\.(?!well-known/)|\\.(db|sqlite3?)(-wal|-shm|-journal)?\$ {
            return 404;
        }
        location ~ \\.lua(/|\$) {
            fastcgi_split_path_info ^(.+?\\.lua)(/.*)\$;
            fastcgi_pass luafcgid2;
            fastcgi_keep_conn on;
            fastcgi_param SCRIPT_FILENAME \$realpath_root\$fastcgi_script_name;
            fastcgi_param DOCUMENT_ROOT \$realpath_root;
            fastcgi_param SCRIPT_NAME \$fastcgi_script_name;
            fastcgi_param PATH_INFO \$fastcgi_path_info;
            fastcgi_param REQUEST_URI \$request_uri;
            fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param REQUEST_SCHEME \$scheme;
            fastcgi_param REQUEST_ID \$request_id;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param CONTENT_TYPE \$content_type;
            fastcgi_param CONTENT_LENGTH \$content_length;
            fastcgi_param SERVER_PROTOCOL \$server_protocol;
            fastcgi_param SERVER_SOFTWARE nginx/\$nginx_version;
            fastcgi_param SERVER_NAME \$server_name;
            fastcgi_param SERVER_ADDR \$server_addr;
            fastcgi_param SERVER_PORT \$server_port;
            fastcgi_param REMOTE_ADDR \$remote_addr;
            fastcgi_param REMOTE_PORT \$remote_port;
            fastcgi_param GATEWAY_INTERFACE CGI/1.1;
        }
    }
}
END
}

# -- Start and stop -------------------------------------------------------------------

dir=
daemon=
nginx=

# shellcheck disable=SC2317 # called by the trap
stop() {
    trap 'kill -KILL $daemon $nginx 2>/dev/null' INT TERM HUP # a second Ctrl-C kills them
    for pid in $nginx $daemon; do
        kill -TERM "$pid" 2>/dev/null || :
    done
    for pid in $nginx $daemon; do
        while kill -0 "$pid" 2>/dev/null; do
            wait "$pid" 2>/dev/null || :
        done
    done
    if [ -n "$dir" ]; then
        rm -rf "$dir"
    fi
}

prepare() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/luafcgid2-serve.XXXXXX")
    ln -s "$site" "$dir/site"
    choose_data
    daemon_config >"$dir/config.lua"
    nginx_config >"$dir/nginx.conf"
    if [ -n "$account" ]; then
        chown -R -h "$account" "$dir"
    fi
}

stopped= # the name of the one that has stopped by itself
both_run() {
    stopped=
    kill -0 "$nginx" 2>/dev/null || stopped=nginx
    kill -0 "$daemon" 2>/dev/null || stopped=luafcgid2
    [ -z "$stopped" ]
}

start() {
    set -- nginx -c "$dir/nginx.conf"
    if nginx -h 2>&1 | grep -q '^ *-e '; then
        set -- "$@" -e stderr
    fi
    (run_as "$account" "$program" -c "$dir/config.lua") </dev/null >&2 &
    daemon=$!
    (run_as "$account" "$@") </dev/null >&2 &
    nginx=$!
}

# nginx writes its pid file when it has the port.
wait_until_both_are_ready() {
    deadline=$(($(date +%s) + 30))
    until [ -s "$dir/nginx.pid" ] && [ -S "$dir/luafcgid2.sock" ]; do
        if ! both_run; then
            die "$stopped did not start; the reason is above. If port $port is in use, name another"
        fi
        [ "$(date +%s)" -lt "$deadline" ] || die 'they did not start within 30 seconds'
        sleep 0.1
    done
}

trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap stop EXIT

choose_account
prepare
start
wait_until_both_are_ready

trap 'echo; exit 0' INT
trap 'exit 0' TERM HUP
if [ -z "$quiet" ]; then
    say ''
    say "    http://127.0.0.1:$port/  is  $site"
    say ''
    say 'It has its own nginx and daemon; the services of this system are not changed.'
    if [ -n "${SSH_CONNECTION:-}" ]; then
        say "From another computer:  ssh -L $port:127.0.0.1:$port $(id -un)@$(uname -n)"
        say "and then open that address there."
    fi
    say 'Ctrl-C stops it. Log lines follow.'
fi
while both_run; do
    sleep 1
done
die "$stopped has stopped by itself"
