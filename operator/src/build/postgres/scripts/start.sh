#!/bin/bash
# Starts the server by the image's own entry point, and beside it what takes up another certificate
# and another password of the owner while the server runs.
set -euo pipefail

secret=/etc/millrace/owner/password
certificate=/etc/millrace/certificate/tls.crt

# The password stays out of arguments, and out of the log should the server refuse it.
set_password() {
  { printf "ALTER ROLE postgres PASSWORD '"; cat "$secret"; printf "';\n"; } |
    PGOPTIONS='-c log_min_error_statement=panic' psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 \
      --host /var/run/postgresql --username postgres --dbname postgres --file - > /dev/null
}

tend() {
  local seen='' now
  while sleep 5; do
    # Before that it is the entry point that runs, and a server that only it knows.
    [ "$(head -n 1 "$PGDATA/postmaster.pid" 2>/dev/null)" = 1 ] || continue
    pg_isready --quiet --host 127.0.0.1 || continue
    now=$(cat "$certificate" "$secret" | sha256sum)
    if [ "$now" != "$seen" ] && set_password && kill -HUP 1; then
      seen=$now
    fi
  done
}

tend &
exec docker-entrypoint.sh postgres -c config_file=/etc/millrace/postgres/postgresql.conf
