#!/bin/bash
# Before a node starts: writes its configuration, and formats its volume if that is empty.
set -euo pipefail
. /etc/millrace/kafka/cluster.sh

node=${HOSTNAME##*-}
host=$HOSTNAME.$SERVICE
data=/var/lib/kafka/data
configuration=/run/kafka/server.properties

cat /etc/millrace/kafka/server.properties - > "$configuration" <<EOF
node.id=$node
advertised.listeners=CLIENT://$host:9092,CONTROLLER://$host:9093,NODE://$host:9094
EOF

# It is the last thing that formatting writes.
if [ -e "$data/kraft/meta.properties" ]; then
  exit 0
fi

identity=/etc/millrace/identity
cluster=$(cat "$identity/cluster-id")
formed=$(cat "$identity/formed")
format() {
  KAFKA_HEAP_OPTS=-Xmx128m /opt/kafka/bin/kafka-storage.sh format \
    --ignore-formatted --cluster-id "$cluster" --config "$configuration" "$@"
}

if [ "$NODES" = 1 ]; then
  if [ "$formed" = true ]; then
    echo "The volume of the only node is empty, though it has been written before: what was in it is lost." >&2
    echo "To begin with an empty Kafka, delete the ConfigMap $IDENTITY, then the pod." >&2
    exit 1
  fi
  format --standalone
elif [ "$formed" = true ]; then
  # Whoever had a vote and has forgotten for whom must not vote again: this node comes as a new one.
  touch "$data/joining"
  format --no-initial-controllers
else
  voters=
  for ((other = 0; other < NODES; other++)); do
    directory=$(cat "$identity/directory-id-$other")
    voters+=${voters:+,}$other@$SET-$other.$SERVICE:9093:$directory
  done
  format --initial-controllers "$voters"
fi
