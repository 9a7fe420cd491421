#!/bin/sh
# Builds luafcgid2 and serves its sample site (scripts/examples) on this machine.
#
#     sh scripts/demo.sh [-p PORT]            until Ctrl-C, on http://127.0.0.1:8080/
#     sh scripts/demo.sh --check [-p PORT]    fetches every page once, exits 0 or 1
#
# Installs what is missing with apt-get. nginx and the daemon run as the user who calls this
# script. If that is root, they run as an account without privileges that can read the
# files, if there is one. Configurations, socket and logs are in a temporary directory,
# which is removed at the end. An nginx that already runs on this system is not changed.
set -eu

usage() {
    cat <<'EOF'
usage: sh scripts/demo.sh [-p PORT] [--check]
  -p PORT   serve on 127.0.0.1:PORT; default 8080 (with --check: the next free one)
  --check   fetch every page of the sample site once and exit: 0 all is well, 1 not
EOF
}

say() { printf '%s\n' "$*"; }
die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

port=
check=
while [ $# -gt 0 ]; do
    case $1 in
    -p)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        port=$2
        shift
        ;;
    -p?*) port=${1#-p} ;;
    --check) check=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
case $port in
*[!0-9]* | ??????*) die "'$port' is not a port; expected a number from 1 to 65535" ;;
esac
if [ -n "$port" ] && { [ "$port" -lt 1 ] || [ "$port" -gt 65535 ]; }; then
    die "'$port' is not a port; expected a number from 1 to 65535"
fi

CDPATH='' cd -- "$(dirname -- "$0")/.."
top=$(pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where nginx is, also for ordinary users

# -- Whose processes ------------------------------------------------------------------

# Nothing here needs root. If root calls, the owner of the files or else www-data is used.
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
    account=$(stat -c %U scripts/examples)
    if [ "$account" = root ] || ! id "$account" >/dev/null 2>&1; then
        account=www-data
        if ! (run_as "$account" test -r "$top/scripts/examples/index.lua" -a -x "$top/luafcgid2") 2>/dev/null; then
            say "Only root can read $top: nginx and the daemon will run as root."
            say 'They will not in a copy that others can read, in /opt for example.'
            account=
        fi
    fi
}

# -- What is needed -------------------------------------------------------------------

install_missing() {
    set --
    # If there is no apt-get, make says what is missing.
    if command -v apt-get >/dev/null && ! { make -q && ./luafcgid2 -v; } >/dev/null 2>&1; then
        set -- build-essential pkg-config libfcgi-dev liblua5.3-dev
    fi
    command -v nginx >/dev/null || set -- "$@" nginx-light
    command -v curl >/dev/null || set -- "$@" curl
    [ $# -eq 0 ] || sh scripts/install-packages.sh -s nginx "$@"
}

build() {
    make -q >/dev/null 2>&1 && return
    say 'Building luafcgid2 ...'
    owner=
    if [ "$(id -u)" -eq 0 ]; then
        owner=$(stat -c %U .)
    fi
    # With sudo in a user's own checkout, the built files should belong to that user, too.
    if [ -n "$owner" ] && [ "$owner" != root ] && id "$owner" >/dev/null 2>&1; then
        (run_as "$owner" make -s)
    else
        make -s
    fi || die 'the build failed'
}

# -- Configurations -------------------------------------------------------------------

daemon_config() {
    cat <<EOF
-- A configuration for trying things out: visitors see error messages, and the log
-- goes to the terminal.
Listen = "$dir/luafcgid2.sock"
WorkerThreads = 4
MinFileInfoTime = 500 -- look for edited files twice a second
DefaultContentType = "text/html; charset=utf-8"
ShowErrors = true
LogFilePath = ""
Config = {
    Greeting = "Values in Config are for your scripts.",
    Colours = { "red", "green", "blue" },
    localhost = { Note = "This part is for the server named localhost." },
}
EOF
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

nginx_config() {
    if [ "$(id -u)" -eq 0 ] && [ -z "$account" ]; then
        echo 'user root;' # the default user of the workers could not read the site
    fi
    cat <<EOF
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
    types {
        text/css css;
    }
    upstream luafcgid2 {
        server "unix:$dir/luafcgid2.sock";
        keepalive 8;
    }
    server {
        listen 127.0.0.1:$port;
        server_name localhost;
        root "$dir/site";
        index index.lua;
        location ^~ /lib/ {
            return 404;
        }
        location = /style.css {
            add_header Cache-Control no-cache;
        }
        location ~ \\.lua\$ {
            fastcgi_pass luafcgid2;
            fastcgi_keep_conn on;
            fastcgi_param SCRIPT_FILENAME \$realpath_root\$fastcgi_script_name;
            fastcgi_param DOCUMENT_ROOT \$realpath_root;
            fastcgi_param SCRIPT_NAME \$fastcgi_script_name;
            fastcgi_param REQUEST_URI \$request_uri;
            fastcgi_param REQUEST_METHOD \$request_method;
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
EOF
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

fetch() { curl --noproxy '*' -sS -m 20 "$@"; }

port_is_free() { # only if the connection is refused, which is curl's status 7
    status=0
    fetch -m 2 -o /dev/null "http://127.0.0.1:$1/" 2>/dev/null || status=$?
    [ "$status" -eq 7 ]
}

choose_port() {
    if [ -n "$port" ] || [ -z "$check" ]; then
        port=${port:-8080}
        port_is_free "$port" ||
            die "port $port is taken by another program; choose one: sh scripts/demo.sh -p PORT"
        return
    fi
    port=8080
    until port_is_free "$port"; do
        port=$((port + 1))
        [ "$port" -lt 8180 ] || die 'no free port between 8080 and 8179; choose one with -p PORT'
    done
}

prepare() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/luafcgid2-demo.XXXXXX")
    ln -s "$top/scripts/examples" "$dir/site"
    daemon_config >"$dir/config.lua"
    nginx_config >"$dir/nginx.conf"
    : >"$dir/log"
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
    if [ -n "$check" ]; then
        exec 3>>"$dir/log"
    else
        exec 3>&2
    fi
    (run_as "$account" ./luafcgid2 -c "$dir/config.lua") </dev/null >&3 2>&3 &
    daemon=$!
    (run_as "$account" "$@") </dev/null >&3 2>&3 &
    nginx=$!
    exec 3>&-
}

# nginx writes its pid file when it has the port, so an answer after that is from ours.
wait_until_it_answers() {
    deadline=$(($(date +%s) + 30))
    until [ -s "$dir/nginx.pid" ] && [ -S "$dir/luafcgid2.sock" ] &&
        fetch -f -o /dev/null "$base" 2>/dev/null; do
        if ! both_run; then
            cat "$dir/log" >&2
            die "$stopped did not start; the reason is above. If port $port is in use, choose another with -p"
        fi
        if [ "$(date +%s)" -ge "$deadline" ]; then
            tail -n 20 "$dir/log" >&2
            die "no answer from $base within 30 seconds"
        fi
        sleep 0.1
    done
}

# -- The check ------------------------------------------------------------------------

good=0
bad=0

# NAME STATUS TEXT [CURL ARGUMENT...]: makes one request. The answer must have STATUS, and
# TEXT in headers or body; a page with status 200 must also be whole.
page() {
    name=$1 want=$2 text=$3
    shift 3
    : >"$dir/answer"
    got=$(fetch -i -o "$dir/answer" -w '%{http_code}' "$@" 2>"$dir/trouble") || :
    why=
    if [ "$got" != "$want" ]; then
        why="status $got instead of $want"
        [ ! -s "$dir/trouble" ] || why="$why; $(cat "$dir/trouble")"
    elif ! grep -qF -e "$text" "$dir/answer"; then
        why="'$text' is not in the answer"
    elif [ "$want" = 200 ] && ! grep -qiE '^content-type: text/(css|event-stream)|</html>|</svg>' "$dir/answer"; then
        why='the page is not whole'
    fi
    if [ -z "$why" ]; then
        good=$((good + 1))
        say "ok    $name"
    else
        bad=$((bad + 1))
        say "FAIL  $name: $why"
    fi
}

check_pages() {
    for file in scripts/examples/*.lua; do
        file=${file##*/}
        case $file in
        source.lua) continue ;; # shown for every file below
        hello-*) text='Hello, World!' ;;
        counter.lua) text='This state has counted to 1' ;;
        shared.lua) text='All states together have counted to 1' ;;
        streaming.lua) text='Done.' ;;
        *) text='<h1>' ;;
        esac
        page "$file" 200 "$text" "$base$file"
    done
    for file in scripts/examples/*.lua scripts/examples/lib/*.lua; do
        file=${file#scripts/examples/}
        page "source of $file" 200 "<h1>$file</h1>" -G --data-urlencode "file=$file" "${base}source.lua"
    done
    page 'style.css' 200 'prefers-color-scheme' "${base}style.css"
}

check_answers() {
    page 'front page' 200 'It works' "$base"
    for style in 2009 v1 v2; do
        page "hello-$style.lua, with a name" 200 'Hello, &lt;b&gt;Zo' -G --data-urlencode 'name=<b>Zoë' \
            "${base}hello-$style.lua"
    done
    page 'environment.lua, a header with markup' 200 '&lt;i&gt;x' -A '<i>x' "${base}environment.lua"
    page 'form.lua, by GET' 200 'tea, water' "${base}form.lua?likes=tea&likes=water"
    page 'form.lua, by POST' 200 '<td>1 &lt; 2 &amp; &quot;3&quot;</td>' \
        --data-urlencode 'text=1 < 2 & "3"' "${base}form.lua"
    page 'upload.lua, two files' 200 '<td>7 bytes</td>' -F title=x -F 'files=@scripts/examples/style.css' \
        -F 'files=content;filename=a.txt' "${base}upload.lua"
    page 'counter.lua, one of four' 200 '<p>state ' "${base}counter.lua?cell=1"
    page 'live.lua, its events' 200 'data: watching=1' -N -m 3 "${base}live.lua?events"
    page 'chat.lua, a message that nobody reads' 204 '' -d 'name=Ada&text=Hello' "${base}chat.lua"
    page 'picture.lua, the picture' 200 'image/svg+xml' "${base}picture.lua?svg"
    page 'error.lua, an error' 500 'this page fails on purpose' "${base}error.lua?fail=at+once"
    page 'error.lua, afterwards' 200 'and still works' "${base}error.lua"
    page 'source.lua, a file outside' 404 'not shown here' -G --data-urlencode 'file=../demo.sh' \
        "${base}source.lua"
    page 'a module, asked for directly' 404 '' "${base}lib/page.lua"
    page 'a page that does not exist' 404 '' "${base}no-such-page.lua"
}

check_cookies() {
    jar=$dir/cookies
    page 'cookies.lua, save' 303 'Location: cookies.lua' -c "$jar" \
        --data-urlencode 'note=50 % "off"; <now>' -d action=save "${base}cookies.lua"
    page 'cookies.lua, read' 200 'Your note: 50 % &quot;off&quot;; &lt;now&gt;' -b "$jar" "${base}cookies.lua"
    page 'cookies.lua, delete' 303 'Max-Age=0' -b "$jar" -c "$jar" -d action=delete "${base}cookies.lua"
    page 'cookies.lua, no longer there' 200 'There is no note yet' -b "$jar" "${base}cookies.lua"
}

# Prints the secret of the form that page() got last.
token() { sed -n 's/.*name="token" value="\([^"]*\)".*/\1/p' "$dir/answer"; }

check_login() {
    jar=$dir/session
    page 'login.lua, the form' 200 'name="password"' -c "$jar" "${base}login.lua"
    page 'login.lua, a forged form' 403 'Please try again' -b "$jar" -c "$jar" \
        -d name=ada -d password=engine -d action=login -d token=0 "${base}login.lua"
    page 'login.lua, a wrong password' 200 'Name or password is wrong.' -b "$jar" -c "$jar" \
        -d name=ada -d password=compiler -d action=login -d "token=$(token)" "${base}login.lua"
    cp "$jar" "$dir/before"
    page 'login.lua, log in' 303 'Set-Cookie: ' -b "$jar" -c "$jar" \
        -d name=ada -d password=engine -d action=login -d "token=$(token)" "${base}login.lua"
    page 'login.lua, logged in' 200 'Hello, ada!' -b "$jar" -c "$jar" "${base}login.lua"
    secret=$(token)
    page 'login.lua, the key from before the login' 200 'name="password"' -b "$dir/before" "${base}login.lua"
    cp "$jar" "$dir/before"
    page 'login.lua, log out' 303 'Location: login.lua' -b "$jar" -c "$jar" \
        -d action=logout -d "token=$secret" "${base}login.lua"
    page 'login.lua, logged out' 200 'name="password"' -b "$jar" -c "$jar" "${base}login.lua"
    page 'login.lua, the key from before the logout' 200 'name="password"' -b "$dir/before" "${base}login.lua"
}

run_check() {
    check_pages
    check_answers
    check_cookies
    check_login
    say "$good of $((good + bad)) answers were right."
    both_run || die "$stopped has stopped by itself"
    if [ "$bad" -gt 0 ]; then
        say 'What nginx and the daemon said:'
        cat "$dir/log"
        exit 1
    fi
}

# -- The program ----------------------------------------------------------------------

trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap stop EXIT

install_missing
build
choose_account
choose_port
base=http://127.0.0.1:$port/
prepare
start
wait_until_it_answers

if [ -n "$check" ]; then
    run_check
    exit 0
fi

trap 'echo; exit 0' INT TERM HUP
say ''
say "    The sample site is at  $base"
say "    Its scripts are in     $top/scripts/examples"
say ''
say 'It has its own nginx and daemon; the services of this system are not changed.'
if [ -n "${SSH_CONNECTION:-}" ]; then
    say "From another computer:  ssh -L $port:127.0.0.1:$port $(id -un)@$(uname -n)"
    say "and then open that address there."
fi
say 'Ctrl-C stops it. Log lines follow.'
while both_run; do
    sleep 1
done
die "$stopped has stopped by itself"
