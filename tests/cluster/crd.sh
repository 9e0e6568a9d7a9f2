#!/usr/bin/env bash
# What a real API server makes of the CRD: it takes it without a warning, takes all examples without
# one, and refuses wrong resources with the words of `millrace validate` (those of rules.txt are
# checked for it by crds/tests/rules.rs). Needs kubectl and, in KUBECONFIG, a cluster where CRDs may
# be made; works in a namespace of its own and removes what it made. A CRD that was there before is
# brought up to date and stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${KUBECONFIG:?names the kubeconfig of a cluster to test on}"
CRD=crds/telemetrypipelines.yaml
EXAMPLE=examples/race.yaml
RULES=tests/cluster/rules.txt
NAMESPACE=millrace-crd-test-$$
FOLDER=$(mktemp -d)
failed=0
cases=0

kc() { kubectl --namespace "$NAMESPACE" "$@"; }

clean() {
  kubectl delete --ignore-not-found --wait=false namespace "$NAMESPACE" >/dev/null 2>&1 || true
  # Others may have come to use the CRD in the meantime.
  if [ "$was_there" = no ] && ! kubectl get telemetrypipelines --all-namespaces --no-headers 2>/dev/null |
    grep -qv "^$NAMESPACE "; then
    kubectl delete --ignore-not-found -f "$CRD" >/dev/null 2>&1 || true
  fi
  rm -rf "$FOLDER"
}

fail() { printf 'FAILED %s\n' "$*"; failed=1; }

# judged CASE WORDS COMMAND…: the command is refused with these words, or not at all (`taken`)
judged() {
  local case=$1 words=$2 said
  shift 2
  cases=$((cases + 1))
  if said=$("$@" 2>&1); then
    if [ "$words" != taken ]; then fail "$case is taken"; fi
    if [[ $said == *Warning* ]]; then fail "$case makes the server warn: $said"; fi
  elif [ "$words" = taken ]; then
    fail "$case is refused: $said"
  elif [[ $said != *"$words"* ]]; then
    fail "$case is refused with other words: $said"
  fi
}

# changed SED-EXPRESSION WORDS: the example, changed and applied over the one that is there
changed() {
  sed -E "$1" "$EXAMPLE" > "$FOLDER/changed.yaml"
  if cmp -s "$EXAMPLE" "$FOLDER/changed.yaml"; then fail "nothing matches $1"; return; fi
  judged "$1" "$2" kc apply --server-side --dry-run=server -f "$FOLDER/changed.yaml"
}

# patched NAME PATCH: the example under another name, its spec changed by a merge patch
patched() {
  kubectl patch --local -f "$EXAMPLE" --type=merge -o yaml \
    -p "{\"metadata\": {\"name\": \"$1\"}, \"spec\": $2}"
}

was_there=no
if kubectl get crd telemetrypipelines.millrace.dev >/dev/null 2>&1; then was_there=yes; fi
trap clean EXIT

# Warnings of the API server are about the schema; kubectl's own, about its version, are not.
kubectl apply --server-side --force-conflicts -f "$CRD" 2>&1 | tee "$FOLDER/crd"
! grep -q '^Warning' "$FOLDER/crd" || fail "the API server warns of the CRD"
# A definition that is new has no conditions for a moment, which `wait` takes for an error.
for _ in $(seq 50); do
  conditions=$(kubectl get crd telemetrypipelines.millrace.dev --output 'jsonpath={.status.conditions}')
  [ -n "$conditions" ] && break
  sleep 0.2
done
kubectl wait --for=condition=Established --timeout=60s crd/telemetrypipelines.millrace.dev
# The server answers for the new kind a moment after it has taken it.
for _ in $(seq 60); do
  kubectl get telemetrypipelines --all-namespaces >/dev/null 2>&1 && break
  sleep 0.5
done
kubectl create namespace "$NAMESPACE"

for example in examples/*.yaml; do
  case $example in *.test.yaml) continue ;; esac
  judged "$example" taken kc apply --server-side --dry-run=server -f "$example"
done
for overlay in examples/clusters/*/; do
  kubectl kustomize --load-restrictor LoadRestrictionsNone "$overlay" > "$FOLDER/overlay.yaml"
  judged "$overlay" taken kc apply --server-side --dry-run=server -f "$FOLDER/overlay.yaml"
done

# An operator that looks at this namespace leaves it alone.
patched race '{"paused": true}' | kc apply --server-side -f -

changed 's/^  name: race$/  name: a.b/' "metadata.name is not a name; write the pipeline's name"
changed 's/key: \[.race\]/key: []/' "should have at least 1 items"
changed 's/disorder: 50ms/disoder: 50ms/' "disoder"
changed 's/disorder: 50ms/disorder: "50"/' "should match"
changed '/^      idle: /d' "heartbeat releases what idle partitions hold back; write idle as well, such as idle: 500ms"
changed 's/(eventTime: .*)unixMillis/\1unixMilis/' "supported values"
changed 's/(  rank: )(.*)/  filter: "true"\n    \1\2/' "write exactly one of map, filter"
changed 's/length: [0-9.]+m, //' "write exactly one of length (a lap by distance) and gate (a lap by crossing a line)"
changed '/primaryKey: \[race, car\]/d' "keep: first and keep: latest choose among rows of one primary key; write primaryKey"
changed 's/\{name: since, type: timestamp\}/{name: car, type: timestamp}/' "duplicate entries"
changed 's/from: \[motion, order\]/from: [motion, motion]/' "duplicate entries"
changed 's/key: \[.race\]/key: [.group]/' "key cannot change within a generation; raise generation to start the stream over"
changed 's/(disorder: 50ms)/\1\n      partitions: 4/' "partitions cannot change within a generation; raise generation to start the stream over"
changed 's/key: \[.race\]/key: [.group]\n      generation: 1/' taken
changed 's/disorder: 50ms/disorder: 60ms/' taken
changed 's/^spec:$/spec:\n  resources: {ingest: {requests: {cpu: 0.5}}}/' "must be of type"
changed 's/^spec:$/spec:\n  resources: {ingest: {requests: {cpu: many}}}/' "should match"
changed 's/^spec:$/spec:\n  exposure: {hosts: [a.example.com, a.example.com]}/' "uplicate"
changed 's/^spec:$/spec:\n  exposure: {hosts: [A.example.com]}/' "should match"
changed 's/^spec:$/spec:\n  placement: {labels: {team: "a b"}}/' "should match"

number=0
while IFS= read -r line; do
  case $line in '' | '#'*) continue ;; esac
  case=${line% => *} words=${line##* => }
  number=$((number + 1))
  case $case in
    'new '*)
      patched "new-$number" "${case#new }" > "$FOLDER/new.yaml"
      judged "$case" "$words" kc create --dry-run=server -f "$FOLDER/new.yaml"
      ;;
    'change '*)
      patches=${case#change }
      patched "change-$number" "${patches% -> *}" > "$FOLDER/before.yaml"
      patched "change-$number" "${patches#* -> }" > "$FOLDER/after.yaml"
      kubectl patch --local -f "$FOLDER/before.yaml" --type=merge -o yaml \
        -p '{"spec": {"paused": true}}' | kc create -f - >/dev/null
      judged "$case" "$words" kc replace --dry-run=server -f "$FOLDER/after.yaml"
      ;;
    *) fail "$line is no case" ;;
  esac
done < "$RULES"

if [ "$failed" = 0 ]; then echo "the API server and the CRD agree in $cases cases"; else exit 1; fi
