#!/usr/bin/env bash
# Checks all dependencies against the advisories of RustSec, with the exceptions of deny.toml.
#
# The advisories are data that change without this repository, and nothing here may need a network. So they are read from a
# clone of https://github.com/RustSec/advisory-db that is at hand: AIRDOCK_ADVISORIES names it, else `advisory-db` in
# AIRDOCK_TOOLS. Without one nothing was shown, and this ends with 77 (not run).
#
# Usage: tests/advisories.sh     needs cargo-deny (tests/provision.sh)
set -euo pipefail
cd "$(dirname "$0")/.."
AIRDOCK_TOOLS=${AIRDOCK_TOOLS:-$HOME/.cache/airdock-tools}
database=${AIRDOCK_ADVISORIES:-$AIRDOCK_TOOLS/advisory-db}
if ! git -C "$database" rev-parse --quiet --verify HEAD > /dev/null 2>&1; then
  echo "advisories: NOT RUN: no advisories at \`$database\`; set AIRDOCK_ADVISORIES to a clone of" \
    "https://github.com/RustSec/advisory-db" >&2
  exit 77
fi
export PATH=$PATH:$AIRDOCK_TOOLS/bin

# cargo-deny knows a database by its address and keeps a copy of its own, so git is told where that address is found.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed "/^\[advisories\]/a db-path = \"$work/advisories\"" deny.toml > "$work/deny.toml"
export GIT_CONFIG_COUNT=2
export GIT_CONFIG_KEY_0="url.file://$(realpath "$database").insteadOf" GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
# The clone may belong to another user.
export GIT_CONFIG_KEY_1=safe.directory GIT_CONFIG_VALUE_1='*'
echo "advisories: as of $(git -C "$database" log -1 --format=%cs)"
cargo deny --locked --config "$work/deny.toml" check advisories
