#!/bin/sh
# Starts nginx, and has it read its configuration and certificate again when they change.
#
#   start.sh CONFIGURATION CERTIFICATE TEMPORARY [RESOLV.CONF]
#
# Folders of nginx.conf, of tls.crt and tls.key, and one that may be written.
set -u
configuration=$1
certificate=$2
temporary=$3
resolv=${4:-/etc/resolv.conf}

# Each connection is an open file: as many as this pod may have at all.
ulimit -n "$(ulimit -H -n)" 2>/dev/null

say() { printf 'edge: %s\n' "$*" >&2; }

# nginx asks DNS itself, so that it follows pods: by whom this pod asks.
servers=
while read -r word address _; do
    [ "$word" = nameserver ] || continue
    case $address in
        *%*) continue ;;
        *:*:*) address="[$address]" ;;
    esac
    servers="$servers $address"
done <"$resolv"
if [ -z "$servers" ]; then
    say "$resolv names no nameserver that could be asked; set dnsPolicy or dnsConfig of the pods"
    exit 1
fi
printf 'resolver%s valid=2s;\n' "$servers" >"$temporary/resolver.conf"

# What nginx cannot follow itself: a line `# follow NAME HOST PORT OPTIONS` has the addresses of
# HOST written to NAME.followed. While nobody knows any, those before stay.
follow() {
    sed -n 's/^ *# follow //p' "$configuration/nginx.conf" | while read -r name host port options; do
        getent ahosts "$host" | sed 's/ .*//; s/.*:.*/[&]/' | sort -u |
            sed "s/.*/server &:$port $options;/" >"$temporary/$name.next"
        if [ -s "$temporary/$name.next" ]; then
            mv "$temporary/$name.next" "$temporary/$name.followed"
        elif [ ! -e "$temporary/$name.followed" ]; then
            echo 'server 127.0.0.1:1 down;' >"$temporary/$name.followed"
        fi
    done
}

state() {
    follow
    cat "$configuration/nginx.conf" "$certificate/tls.crt" "$certificate/tls.key" \
        "$temporary"/*.followed 2>/dev/null | sha256sum
}

# Where the machine has no IPv6, listening on it would end nginx.
prepare() {
    if [ -e /proc/net/if_inet6 ]; then
        cat "$configuration/nginx.conf"
    else
        grep -v 'listen \[::\]' "$configuration/nginx.conf"
    fi >"$1"
}

run() { nginx -e stderr -p "$temporary" -c "$@"; }

# What has been found good replaces what is used, so that a mistake changes nothing. It is tried
# again, and said again, until it is mended.
watch() {
    while sleep "${EDGE_WATCH_SECONDS:-2}"; do
        now=$(state)
        [ "$now" = "$loaded" ] && continue
        prepare "$temporary/next.conf"
        if run "$temporary/next.conf" -t -q; then
            mv "$temporary/next.conf" "$temporary/nginx.conf"
            run "$temporary/nginx.conf" -s reload
            loaded=$now
            say "configuration and certificate have been read again"
        else
            say "the new configuration or certificate cannot be used; the one before stays in use"
        fi
    done
}

# A name without pods is not asked for again for as long as DNS says, half a minute mostly: who began
# to serve before there are pods would answer with errors for that long. Where none come within a
# minute, errors are the right answers.
await() {
    left=${EDGE_AWAIT_SECONDS:-60}
    for host in $(sed -n 's/^ *server \([^ ]*\):[0-9]* resolve .*/\1/p; s/^ *# follow [^ ]* \([^ ]*\) .*/\1/p' \
        "$configuration/nginx.conf" | sort -u); do
        [ -n "$(getent ahosts "$host")" ] && continue
        say "waits for $host"
        while [ "$left" -gt 0 ] && [ -z "$(getent ahosts "$host")" ]; do
            left=$((left - 1))
            sleep 1
        done
    done
}

# Requests that are under way end; what lasts longer is cut.
stop() {
    trap '' TERM QUIT INT
    kill -QUIT "$nginx" 2>/dev/null
    (sleep 25 && kill -TERM "$nginx" 2>/dev/null) &
    killer=$!
}

trap 'exit 0' TERM QUIT INT
await
loaded=$(state)
prepare "$temporary/nginx.conf"
ending=
# Who is told to end just now has nginx to stop, and does not know yet who that is.
trap 'ending=yes' TERM QUIT INT
nginx -e stderr -p "$temporary" -c "$temporary/nginx.conf" &
nginx=$!
killer=
trap stop TERM QUIT INT
[ -z "$ending" ] || stop
watch &
watcher=$!
# A signal ends the waiting, not nginx.
while
    wait "$nginx"
    status=$?
    kill -0 "$nginx" 2>/dev/null
do :; done
kill "$watcher" $killer 2>/dev/null
exit "$status"
