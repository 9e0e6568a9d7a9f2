#!/bin/bash
# Puts back what a dump has: the one that DUMP names, or the newest. All of it or nothing.
set -euo pipefail
. /etc/millrace/postgres/connect.sh

dumps=(/backup/*.dump)
dump=${DUMP:+/backup/$DUMP}
dump=${dump:-${dumps[-1]}}
if [ ! -e "$dump" ]; then
  echo "There is no $dump; there are: ${dumps[*]##*/}" >&2
  exit 1
fi
pg_restore --clean --if-exists --exit-on-error --single-transaction --dbname "$PGDATABASE" "$dump"
echo "Restored $dump."
