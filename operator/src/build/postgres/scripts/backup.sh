#!/bin/bash
# Dumps the database to the volume, checks that the dump can be read, and removes the oldest ones.
set -euo pipefail
umask 077
. /etc/millrace/postgres/backup.conf

secrets=/etc/millrace/owner
printf '%s:5432:%s:%s:%s\n' "$PGHOST" "$PGDATABASE" "$(cat "$secrets/username")" \
  "$(cat "$secrets/password")" > /tmp/passwords
export PGHOST PGDATABASE PGPASSFILE=/tmp/passwords PGSSLMODE=verify-full \
  PGSSLROOTCERT=/etc/millrace/trust/ca.crt
PGUSER=$(cat "$secrets/username")
export PGUSER

dump=/backup/$(date -u +%Y%m%dT%H%M%SZ).dump
rm -f /backup/*.partial
pg_dump --format custom --file "$dump.partial"
pg_restore --list "$dump.partial" > /dev/null
sync
mv "$dump.partial" "$dump"
echo "Wrote $dump, $(stat -c %s "$dump") bytes."

# Names are times, and so in order.
dumps=(/backup/*.dump)
for ((old = 0; old < ${#dumps[@]} - KEEP; old++)); do
  rm "${dumps[old]}"
  echo "Removed ${dumps[old]}."
done
