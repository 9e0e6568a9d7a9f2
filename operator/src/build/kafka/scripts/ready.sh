#!/bin/bash
# Whether a node that has started serves, and has caught up with all that it is to have a copy of.
# The next one is only taken down after that. It starts a Java machine, so it is asked only until it
# says yes once.
set -euo pipefail
. /etc/millrace/kafka/cluster.sh

# A broker listens once the controllers have let it in.
(exec 3<>/dev/tcp/127.0.0.1/9092) 2>/dev/null
[ ! -e /var/lib/kafka/data/joining ]
[ "$NODES" != 1 ] || exit 0

node=${HOSTNAME##*-}
unset KAFKA_OPTS
export KAFKA_HEAP_OPTS=-Xmx96m KAFKA_JVM_PERFORMANCE_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
/opt/kafka/bin/kafka-topics.sh --bootstrap-server "$HOSTNAME.$SERVICE:9094" \
  --command-config /etc/millrace/kafka/client.properties \
  --describe --under-replicated-partitions > /tmp/behind
while read -r line; do
  if [[ $line =~ Replicas:\ *([0-9,]+).*Isr:\ *([0-9,]*) ]]; then
    if [[ ,${BASH_REMATCH[1]}, = *,$node,* && ,${BASH_REMATCH[2]}, != *,$node,* ]]; then
      echo "not in sync: $line"
      exit 1
    fi
  fi
done < /tmp/behind
