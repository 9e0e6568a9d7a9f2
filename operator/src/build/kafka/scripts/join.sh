#!/bin/bash
# Gives a node with a new volume its vote: the one of its lost volume is removed first.
set -uo pipefail
. /etc/millrace/kafka/cluster.sh

node=${HOSTNAME##*-}
data=/var/lib/kafka/data
unset KAFKA_OPTS
export KAFKA_HEAP_OPTS=-Xmx96m KAFKA_JVM_PERFORMANCE_OPTS=-XX:+UseSerialGC
# Adding a controller wants its whole configuration, and how to connect beside it.
cat /run/kafka/server.properties /etc/millrace/kafka/client.properties > /tmp/join.properties

quorum() {
  /opt/kafka/bin/kafka-metadata-quorum.sh --bootstrap-server "$BROKERS" --command-config /tmp/join.properties "$@"
}

# Directory ids of this node in a line of voters or observers.
directories() {
  grep "^$1:" /tmp/quorum | grep -o "\"id\": *$node, *\"directoryId\": *\"[^\"]*\"" | sed 's/.*"\([^"]*\)"$/\1/'
}

join() {
  local own voter joined=
  own=$(sed -n 's/^directory.id=//p' "$data/kraft/meta.properties")
  quorum describe --status > /tmp/quorum || return 1
  for voter in $(directories CurrentVoters); do
    if [ "$voter" = "$own" ]; then
      joined=yes
    else
      echo "Removing the vote of the lost volume $voter of node $node."
      quorum remove-controller --controller-id "$node" --controller-directory-id "$voter" || return 1
    fi
  done
  [ -n "$joined" ] || quorum add-controller
}

until (exec 3<>/dev/tcp/127.0.0.1/9094) 2>/dev/null; do sleep 2; done
until join; do sleep 5; done
rm -f "$data/joining"
echo "Node $node has its vote again."
