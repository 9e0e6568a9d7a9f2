# How dumps reach the server: over TLS, as the owner. The password is in a file, as arguments and the
# environment can be read by others.
. /etc/millrace/postgres/dumps.conf
umask 077
owner=/etc/millrace/owner
PGUSER=$(cat "$owner/username")
printf '%s:5432:%s:%s:%s\n' "$PGHOST" "$PGDATABASE" "$PGUSER" "$(cat "$owner/password")" > /tmp/passwords
export PGHOST PGDATABASE PGUSER PGPASSFILE=/tmp/passwords PGSSLMODE=verify-full \
  PGSSLROOTCERT=/etc/millrace/trust/ca.crt
