#!/bin/sh
# Builds luafcgid2 and serves its sample site (scripts/examples) on this machine.
#
#     sh scripts/demo.sh [-p PORT]            until Ctrl-C, on http://127.0.0.1:8080/
#     sh scripts/demo.sh --check [-p PORT]    fetches every page once, exits 0 or 1
#
# Installs what is missing with apt-get, builds, and calls scripts/serve.sh
# (luafcgid2-serve once it is installed), which has nginx and a daemon of its own. The
# nginx that is there is not changed.
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
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where nginx is, also for ordinary users

# -- What is needed -------------------------------------------------------------------

install_missing() {
    set --
    # If there is no apt-get, make says what is missing.
    if command -v apt-get >/dev/null && ! { make -q && ./luafcgid2 -v; } >/dev/null 2>&1; then
        set -- build-essential pkg-config libfcgi-dev liblua5.3-dev
    fi
    command -v nginx >/dev/null || set -- "$@" nginx-light
    command -v curl >/dev/null || set -- "$@" curl
    # For json.lua.
    ls /usr/lib/*/lua/5.3/cjson.so >/dev/null 2>&1 || ! command -v apt-get >/dev/null ||
        set -- "$@" lua-cjson
    [ $# -eq 0 ] || sh scripts/install-packages.sh -s nginx "$@"
    # For one page, which without it says how to install it.
    if command -v apt-get >/dev/null && ! [ -e /usr/share/lua/5.1/orbit.lua ]; then
        sh scripts/install-packages.sh lua-orbit ||
            say 'The demonstration goes on without lua-orbit.'
    fi
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
        setpriv --reuid="$owner" --regid="$(id -g "$owner")" --init-groups -- make -s
    else
        make -s
    fi || die 'the build failed'
}

# -- The site -------------------------------------------------------------------------

dir=
server=

# shellcheck disable=SC2317 # called by the trap
stop() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || :
        wait "$server" 2>/dev/null || :
    fi
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

next_free_port() { # FIRST
    port=$1
    until port_is_free "$port"; do
        port=$((port + 1))
        [ "$port" -lt 8180 ] || die 'no free port between 8080 and 8179; choose one with -p PORT'
    done
}

chosen= # the port is this script's choice
choose_port() {
    if [ -n "$port" ] || [ -z "$check" ]; then
        port=${port:-8080}
        port_is_free "$port" ||
            die "port $port is taken by another program; choose one: sh scripts/demo.sh -p PORT"
        return
    fi
    chosen=yes
    next_free_port 8080
}

# serve.sh ends by itself when one of its two programs does.
it_runs() { kill -0 "$server" 2>/dev/null; }

# serve.sh says when both of its programs are ready: before that another one could answer.
# What it says before that, whoever called this should know.
serve_for_check() {
    base=http://127.0.0.1:$port/
    sh scripts/serve.sh -c "$dir/config.lua" scripts/examples "$port" >"$dir/said" 2>"$dir/log" &
    server=$!
    deadline=$(($(date +%s) + 30))
    until grep -q 'Ctrl-C stops it' "$dir/said" && fetch -f -o /dev/null "$base" 2>/dev/null; do
        it_runs && [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.1
    done
    sed '/^$/,$d' "$dir/said"
}

# Another program, such as a demonstration beside this one, may take the port that was free.
start_for_check() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/luafcgid2-demo.XXXXXX")
    : >"$dir/said"
    # Whoever serves must be able to keep data there.
    chmod 711 "$dir"
    mkdir -m 1777 "$dir/data"
    { cat scripts/demo.lua && echo "DataDir = \"$dir/data\""; } >"$dir/config.lua"
    until serve_for_check; do
        if it_runs || [ -z "$chosen" ] || ! grep -q 'Address already in use' "$dir/log"; then
            tail -n 20 "$dir/log" >&2
            die "no answer from $base; the reason is above"
        fi
        next_free_port $((port + 1))
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
    elif [ "$want" = 200 ] && ! grep -qiE '^content-type: (text/(css|event-stream)|application/json)|</html>|</svg>' "$dir/answer"; then
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
        counter.lua) text='All states together have counted to 1, this one to 1' ;;
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
    page 'template.lua, a search' 200 '<th scope="row">Jam &lt;sour cherry&gt;</th>' \
        "${base}template.lua?q=JAM"
    page 'template.lua, nothing found' 200 'There is no “&lt;b&gt;” here' -G --data-urlencode 'q=<b>' \
        "${base}template.lua"
    page 'download.lua, a part' 206 'The style' -r 3-20 "${base}download.lua?file=style.css"
    page 'download.lua, a file that is not in its list' 200 'the goods' "${base}download.lua?file=../demo.sh"
    page 'tools.lua, a text with markup' 200 '<td>PGI+</td>' -G --data-urlencode 'text=<b>' \
        "${base}tools.lua"
    page 'json.lua, words' 200 '"longest":"hello"' -H 'Content-Type: application/json' \
        -d '{"text": "Hello, you!"}' "${base}json.lua"
    page 'json.lua, no JSON' 400 '' -H 'Content-Type: application/json' -d '{' "${base}json.lua"
    page 'counter.lua, one of four' 200 'of them by state ' "${base}counter.lua?cell=1"
    page 'live.lua, its events' 200 'data: watching=1' -N -m 6 "${base}live.lua?events"
    page 'chat.lua, a message that nobody reads' 204 '' -d 'name=Ada&text=Hello' "${base}chat.lua"
    page 'picture.lua, the picture' 200 'image/svg+xml' "${base}picture.lua?svg"
    page 'error.lua, an error' 500 'this page fails on purpose' "${base}error.lua?fail=at+once"
    page 'error.lua, afterwards' 200 'and still works' "${base}error.lua"
    page 'source.lua, a file outside' 404 'not shown here' -G --data-urlencode 'file=../demo.sh' \
        "${base}source.lua"
    page 'a module, asked for directly' 404 '' "${base}lib/page.lua"
    page 'a page that does not exist' 404 '' "${base}no-such-page.lua"
}

check_orbit() {
    page 'orbit-app.lua' 200 '<h1>' "${base}orbit-app.lua"
    ! grep -q 'Orbit is not installed' "$dir/answer" || return 0
    page 'orbit-app.lua, a planet' 200 '<td>6792 km</td>' "${base}orbit-app.lua/planet/Mars"
    page 'orbit-app.lua, its base' 200 '<base href="/">' "${base}orbit-app.lua/planet/Mars"
    page 'orbit-app.lua, a search' 302 'Location: /orbit-app.lua/planet/Venus' -d name=venus \
        "${base}orbit-app.lua/search"
    page 'orbit-app.lua, no planet' 404 'No such planet' "${base}orbit-app.lua/planet/Pluto"
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
token() { sed -n 's/.*name="csrf" value="\([^"]*\)".*/\1/p' "$dir/answer"; }

check_guestbook() {
    jar=$dir/guest
    page 'guestbook.lua, the form' 200 'name="csrf"' -c "$jar" "${base}guestbook.lua"
    page 'guestbook.lua, a forged form' 400 'Please try again' -b "$jar" -d name=Ada -d text=Hello \
        "${base}guestbook.lua"
    page 'guestbook.lua, an empty name' 400 'Please write your name' -b "$jar" -d name=+ \
        -d 'text=1<2' -d "csrf=$(token)" "${base}guestbook.lua"
    page 'guestbook.lua, write' 303 'Location: guestbook.lua' -b "$jar" -d name=Ada \
        --data-urlencode 'text=<b>Hello' -d "csrf=$(token)" "${base}guestbook.lua"
    page 'guestbook.lua, read' 200 '<p>&lt;b&gt;Hello</p>' "${base}guestbook.lua"
}

check_login() {
    jar=$dir/session
    page 'login.lua, the form' 200 'name="password"' -c "$jar" "${base}login.lua"
    page 'login.lua, a forged form' 403 'Please try again' -b "$jar" -c "$jar" \
        -d name=ada -d password=engine -d action=login -d csrf=0 "${base}login.lua"
    page 'login.lua, a wrong password' 200 'Name or password is wrong.' -b "$jar" -c "$jar" \
        -d name=ada -d password=compiler -d action=login -d "csrf=$(token)" "${base}login.lua"
    cp "$jar" "$dir/before"
    page 'login.lua, log in' 303 'Set-Cookie: ' -b "$jar" -c "$jar" \
        -d name=ada -d password=engine -d action=login -d "csrf=$(token)" "${base}login.lua"
    page 'login.lua, logged in' 200 'Hello, ada!' -b "$jar" -c "$jar" "${base}login.lua"
    secret=$(token)
    page 'login.lua, the key from before the login' 200 'name="password"' -b "$dir/before" "${base}login.lua"
    cp "$jar" "$dir/before"
    page 'login.lua, log out' 303 'Location: login.lua' -b "$jar" -c "$jar" \
        -d action=logout -d "csrf=$secret" "${base}login.lua"
    page 'login.lua, logged out' 200 'name="password"' -b "$jar" -c "$jar" "${base}login.lua"
    page 'login.lua, the key from before the logout' 200 'name="password"' -b "$dir/before" "${base}login.lua"
}

run_check() {
    check_pages
    check_answers
    check_orbit
    check_cookies
    check_guestbook
    check_login
    say "$good of $((good + bad)) answers were right."
    it_runs || die 'nginx or the daemon has stopped by itself'
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
choose_port
if [ -n "$check" ]; then
    start_for_check
    run_check
    exit 0
fi
exec sh scripts/serve.sh -c scripts/demo.lua scripts/examples "$port"
