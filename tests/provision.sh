#!/usr/bin/env bash
# Installs the real clients and tools the tests use, on a Debian 12 machine with Go and Rust. Run again, it does only
# what is missing; when all is there it takes a second.
#
# Two generations of clients are wanted, so there are two Debians: 12 is the machine (containerd 1.6, Docker 20, podman
# 4), 13 is a folder (containerd 1.7, Docker 26, podman 5, oras, cosign) that tests/clients/world.sh enters. What Debian
# lacks is built by Go and Cargo at pinned versions. Everything but Debian 12's packages is below AIRDOCK_TOOLS
# (default ~/.cache/airdock-tools); keep that folder between runs.
#
# Usage: tests/provision.sh     (root, or a user who may sudo)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
AIRDOCK_TOOLS=${AIRDOCK_TOOLS:-$HOME/.cache/airdock-tools}
LOGS=$AIRDOCK_TOOLS/logs
mkdir -p "$AIRDOCK_TOOLS/bin" "$LOGS"

DEBIAN_12=(
  buildah bzip2 conmon containerd crun debootstrap docker-registry docker.io e2fsprogs exfat-fuse exfatprogs gpg iproute2
  netavark nginx-light openssl podman runc skopeo uidmap wrk xfsprogs xz-utils zstd
)
DEBIAN_13=(buildah conmon containerd cosign docker-buildx docker-cli docker.io netavark oras podman runc skopeo)
GO_TOOLS=( # name=package@version
  crane=github.com/google/go-containerregistry/cmd/crane@v0.22.1
  helm3=helm.sh/helm/v3/cmd/helm@v3.22.0
  helm4=helm.sh/helm/v4/cmd/helm@v4.3.1
  regctl=github.com/regclient/regclient/cmd/regctl@v0.11.7
)
CARGO_DENY=0.20.2

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# step NAME FUNCTION: runs it with its output in a log, and says how long it took or shows why it failed.
step() {
  local name=$1 began=$SECONDS
  if ! ( set -e; "$2" ) > "$LOGS/$name.log" 2>&1; then
    echo "provision: $name FAILED, the end of $LOGS/$name.log:" >&2
    tail -n 20 "$LOGS/$name.log" >&2
    return 1
  fi
  echo "provision: $name $((SECONDS - began)) s"
}

debian_12() {
  local missing=() package
  for package in "${DEBIAN_12[@]}"; do
    dpkg-query --show --showformat='${Status}' "$package" 2> /dev/null | grep -q '^install ok installed' \
      || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  # No daemon is to start by itself: the tests start theirs, and a CI machine has no use for others.
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d
    as_root chmod 755 /usr/sbin/policy-rc.d; }
  as_root apt-get -o DPkg::Lock::Timeout=600 update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=900 \
    install -y --no-install-recommends "${missing[@]}"
}

# The folder appears under its name only when it is complete, so an interrupted run starts over.
debian_13() {
  local folder=$AIRDOCK_TOOLS/trixie wanted mirror
  wanted=$(echo "${DEBIAN_13[@]}" | sha256sum | cut -c1-16)
  [ ! -e "$folder/.airdock-$wanted" ] || return 0
  # The mirror that apt on this machine uses.
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT)' \
    | awk '$2 == "Debian" && $3 == "main" && !/security/ { print $1; exit }')
  if [ ! -e "$folder" ]; then
    as_root rm -rf "$folder.part"
    as_root debootstrap --variant=minbase --include=ca-certificates trixie "$folder.part" "$mirror"
    as_root cp /usr/sbin/policy-rc.d "$folder.part/usr/sbin/" || true
    as_root mv "$folder.part" "$folder"
  fi
  # In a mount namespace: nothing stays mounted.
  as_root unshare --mount bash -euc '
    mount --bind "$1" "$1"
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    cp /etc/resolv.conf "$1/etc/resolv.conf"
    chroot "$1" apt-get update
    DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get install -y --no-install-recommends "${@:2}"
    chroot "$1" apt-get clean
    rm -rf "$1"/var/lib/apt/lists/*' provision "$folder" "${DEBIAN_13[@]}"
  as_root touch "$folder/.airdock-$wanted"
}

go_tools() {
  local tool name package scratch
  for tool in "${GO_TOOLS[@]}"; do
    name=${tool%%=*} package=${tool#*=}
    [ ! -e "$AIRDOCK_TOOLS/bin/$name-${package##*@}" ] || continue
    scratch=$(mktemp -d "$AIRDOCK_TOOLS/go.XXXXXX")
    # Stripped and without cgo: these only have to run, and linking is most of the time.
    GOBIN=$scratch CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "$package"
    mv "$scratch"/* "$AIRDOCK_TOOLS/bin/$name-${package##*@}"
    rmdir "$scratch"
    ln -sf "$name-${package##*@}" "$AIRDOCK_TOOLS/bin/$name"
  done
}

cargo_deny() {
  [ ! -e "$AIRDOCK_TOOLS/bin/cargo-deny-$CARGO_DENY" ] || return 0
  cargo install cargo-deny --locked --version $CARGO_DENY --debug --no-default-features --root "$AIRDOCK_TOOLS/deny"
  mv "$AIRDOCK_TOOLS/deny/bin/cargo-deny" "$AIRDOCK_TOOLS/bin/cargo-deny-$CARGO_DENY"
  rm -rf "$AIRDOCK_TOOLS/deny"
  ln -sf cargo-deny-$CARGO_DENY "$AIRDOCK_TOOLS/bin/cargo-deny"
}

# Both Debians mostly wait for the network and Go mostly computes, so they run side by side.
debians() { step debian-12 debian_12 && step debian-13 debian_13; }

began=$SECONDS
debians & debians=$!
builds() { step go-tools go_tools && step cargo-deny cargo_deny; }
builds & builds=$!
failed=0
wait $debians || failed=1
wait $builds || failed=1
[ $failed = 0 ] || exit 1
echo "provision: ready in $((SECONDS - began)) s: Docker $(/usr/sbin/dockerd --version | awk '{print $3}' | tr -d ,) and" \
  "Debian 13's, $(ls "$AIRDOCK_TOOLS/bin" | grep -- - | tr '\n' ' ')in $AIRDOCK_TOOLS"
