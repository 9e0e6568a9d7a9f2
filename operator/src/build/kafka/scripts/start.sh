#!/bin/bash
# Starts a node; one that comes with an empty volume is given its vote again meanwhile.
set -euo pipefail

if [ -e /var/lib/kafka/data/joining ]; then
  /bin/bash /etc/millrace/kafka/join.sh &
fi
exec /opt/kafka/bin/kafka-server-start.sh /run/kafka/server.properties
