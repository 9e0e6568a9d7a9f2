#!/bin/bash
# Dumps the database to the volume, checks that the dump can be read, and removes the oldest ones.
set -euo pipefail
. /etc/millrace/postgres/connect.sh

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
