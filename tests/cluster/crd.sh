#!/usr/bin/env bash
# What a real API server makes of the CRD: it takes it without a warning, takes the example, and
# refuses wrong resources with the words of `millrace validate`. Needs kubectl and, in KUBECONFIG,
# a cluster where CRDs may be made; works in a namespace of its own and removes what it made, the
# CRD included.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

: "${KUBECONFIG:?names the kubeconfig of a cluster to test on}"
CRD=crds/telemetrypipelines.yaml
EXAMPLE=examples/race.yaml
NAMESPACE=millrace-crd-test-$$
FOLDER=$(mktemp -d)
failed=0

kc() { kubectl --namespace "$NAMESPACE" "$@"; }

clean() {
  kubectl delete --ignore-not-found --wait=false namespace "$NAMESPACE" >/dev/null 2>&1 || true
  kubectl delete --ignore-not-found -f "$CRD" >/dev/null 2>&1 || true
  rm -rf "$FOLDER"
}

fail() { printf 'FAILED %s\n' "$*"; failed=1; }

# changed SED-EXPRESSION: the example, changed; fails where nothing matched
changed() {
  sed -E "$1" "$EXAMPLE" > "$FOLDER/changed.yaml"
  ! cmp -s "$EXAMPLE" "$FOLDER/changed.yaml" || { fail "nothing matches $1"; return 1; }
}

# refused SED-EXPRESSION WORDS: the changed example is refused with these words
refused() {
  changed "$1" || return 0
  local said
  if said=$(kc apply --server-side --dry-run=server -f "$FOLDER/changed.yaml" 2>&1); then
    fail "$1 is taken"
  elif [[ $said != *"$2"* ]]; then
    fail "$1 is refused with other words: $said"
  fi
}

# taken SED-EXPRESSION
taken() {
  changed "$1" || return 0
  kc apply --server-side --dry-run=server -f "$FOLDER/changed.yaml" >"$FOLDER/said" 2>&1 ||
    fail "$1 is refused: $(cat "$FOLDER/said")"
}

if kubectl get crd telemetrypipelines.millrace.dev >/dev/null 2>&1; then
  echo "the cluster has the CRD already; take one without it" >&2
  exit 2
fi
trap clean EXIT

# Warnings of the API server are about the schema; kubectl's own, about its version, are not.
kubectl apply --server-side -f "$CRD" 2>&1 | tee "$FOLDER/crd"
! grep -q '^Warning' "$FOLDER/crd" || fail "the API server warns of the CRD"
# The server answers for the new kind a moment after it has taken it.
for _ in $(seq 60); do
  kubectl get telemetrypipelines --all-namespaces >/dev/null 2>&1 && break
  sleep 0.5
done
kubectl create namespace "$NAMESPACE"
kc apply --server-side -f "$EXAMPLE"

refused 's/^  name: race$/  name: a.b/' "metadata.name is not a name; write the pipeline's name"
refused 's/key: \[.race\]/key: []/' "should have at least 1 items"
refused 's/disorder: 50ms/disoder: 50ms/' "disoder"
refused 's/disorder: 50ms/disorder: "50"/' "should match"
refused '/^      idle: /d' "heartbeat releases what idle partitions hold back; write idle as well, such as idle: 500ms"
refused 's/(eventTime: .*)unixMillis/\1unixMilis/' "supported values"
refused 's/(  rank: )(.*)/  filter: "true"\n    \1\2/' "write exactly one of map, filter, motion, rank and laps"
refused 's/length: [0-9.]+m, //' "write exactly one of length (a lap by distance) and gate (a lap by crossing a line)"
refused '/primaryKey: \[race, car\]/d' "keep: first and keep: latest choose among rows of one primary key; write primaryKey"
refused 's/\{name: since, type: timestamp\}/{name: car, type: timestamp}/' "duplicate entries"
refused 's/from: \[motion, order\]/from: [motion, motion]/' "duplicate entries"
refused 's/key: \[.race\]/key: [.group]/' "key cannot change within a generation; raise generation to start the stream over"
refused 's/(disorder: 50ms)/\1\n      partitions: 4/' "partitions cannot change within a generation; raise generation to start the stream over"
taken 's/key: \[.race\]/key: [.group]\n      generation: 1/'
taken 's/disorder: 50ms/disorder: 60ms/'

if [ "$failed" = 0 ]; then echo "the API server and the CRD agree"; else exit 1; fi
