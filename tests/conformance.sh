#!/usr/bin/env bash
# Runs the OCI distribution conformance program (the main branch's, `OCI_VERSION=dev`) against the real binary: over
# http and https with sparse data, and once with the default, strict check of references. No failure and no skip is
# accepted, and both are read from its report, because it ends with 0 when it only skipped.
#
# Sparse data are manifests whose layer or child was never pushed. Refusing those is Airdock's default and allowed by
# the specification; so the sparse runs, and only those, relax the check.
#
# The program is not part of this repository and no package registry has it: AIRDOCK_CONFORMANCE names it, else
# `oci-conformance` in AIRDOCK_TOOLS/bin. Without it nothing was shown, and this ends with 77 (not run).
#
# Usage: tests/conformance.sh     AIRDOCK_BIN: the binary (target/release/airdock if not set)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
AIRDOCK_TOOLS=${AIRDOCK_TOOLS:-$HOME/.cache/airdock-tools}
AIRDOCK_BIN=${AIRDOCK_BIN:-$here/../target/release/airdock}
program=${AIRDOCK_CONFORMANCE:-$AIRDOCK_TOOLS/bin/oci-conformance}
if [ ! -x "$program" ]; then
  echo "conformance: NOT RUN: no program at \`$program\`; set AIRDOCK_CONFORMANCE to the built program of" \
    "distribution-spec's folder \`conformance\`" >&2
  exit 77
fi

work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server" 2> /dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# attribute NAME FILE: a count of the report's first element, which leaves out those that are 0.
attribute() {
  local value
  value=$(sed -n 's/.*<testsuites .*\b'"$1"'="\([0-9]*\)".*/\1/p' "$2")
  echo "${value:-0}"
}

# conform NAME REFERENCES SPARSE [SERVE OPTION...]: one run on a new, empty data folder.
conform() {
  local name=$1 references=$2 sparse=$3 url='' tls=disabled report=$work/$1/junit.xml counts='' count
  shift 3
  AIRDOCK__REGISTRY__REFERENCES=$references "$AIRDOCK_BIN" serve --data "$work/data-$name" --listen 127.0.0.1:0 "$@" \
    > "$work/$name.out" 2> "$work/$name.log" &
  server=$!
  for _ in $(seq 300); do
    url=$(sed -n 's/^airdock serves \([^ ]*\) .*/\1/p' "$work/$name.out" | head -n 1)
    [ -z "$url" ] || break
    sleep 0.1
  done
  [ -n "$url" ] || { echo "airdock did not start:" >&2; cat "$work/$name.log" >&2; exit 1; }
  [[ $url != https://* ]] || tls=enabled
  # Its own exit code says too little; the report decides.
  SSL_CERT_FILE=$work/ca.crt OCI_VERSION=dev OCI_REGISTRY=${url#*://} OCI_TLS=$tls OCI_DATA_SPARSE=$sparse \
    OCI_RESULTS_DIR=$work/$name "$program" > "$work/$name.txt" 2>&1 || true
  kill "$server"
  wait "$server" || { echo "conformance: airdock ended with $? after $name" >&2; exit 1; }
  server=
  [ -s "$report" ] || { echo "conformance: $name left no report:" >&2; tail -n 20 "$work/$name.txt" >&2; exit 1; }
  for count in tests failures errors skipped disabled; do
    counts+=" $(attribute $count "$report") $count,"
  done
  echo "conformance: $name:${counts%,}"
  if [ "$(attribute tests "$report")" -lt 100 ] || ! [[ $counts == *" 0 failures, 0 errors, 0 skipped, 0 disabled,"* ]]; then
    grep -B 1 -A 2 -E ': (FAIL|Skip|Error|Disabled)$' "$work/$name.txt" | head -n 60 >&2
    exit 1
  fi
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=airdock.test' \
  -addext 'subjectAltName=IP:127.0.0.1' -keyout "$work/tls.key" -out "$work/ca.crt" 2> /dev/null
conform http-sparse lax true
conform https-sparse lax true --tls-certificate "$work/ca.crt" --tls-key "$work/tls.key"
conform http-strict strict false
