#!/bin/bash
# Makes the users of clients, with their passwords. It may run any number of times.
set -euo pipefail
. /etc/millrace/kafka/cluster.sh
umask 077
export KAFKA_HEAP_OPTS=-Xmx96m KAFKA_JVM_PERFORMANCE_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"

reachable() {
  local broker
  for broker in ${BROKERS//,/ }; do
    (exec 3<>"/dev/tcp/${broker%:*}/${broker##*:}") 2>/dev/null && return
  done
  return 1
}

# The password is in a file, as arguments can be read by others.
make_user() {
  local folder=/etc/millrace/users/$1 user
  user=$(cat "$folder/username")
  { printf 'SCRAM-SHA-512=password='; cat "$folder/password"; echo; } > "/tmp/$1.properties"
  /opt/kafka/bin/kafka-configs.sh --bootstrap-server "$BROKERS" \
    --command-config /etc/millrace/kafka/client.properties \
    --alter --entity-type users --entity-name "$user" --add-config-file "/tmp/$1.properties"
  rm "/tmp/$1.properties"
}

until reachable; do sleep 1; done
for user in client spare; do make_user "$user"; done
