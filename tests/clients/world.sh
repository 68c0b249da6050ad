# A world of its own for real clients: sourced by tests/clients/run and examples/make-bundle.sh.
#
# Daemons such as dockerd and containerd leave processes, mounts and cgroups behind when a test dies. Here the script
# runs itself again inside new mount, process and network namespaces: the settings below /etc are empty and private,
# the loopback device is the only network (whatever tries to dial out fails, as in an air gap), and when the script
# ends, however it ends, the kernel ends every process and drops every mount.
#
# Two generations of tools: Debian 12 is the machine itself, Debian 13 a folder (`provision.sh` made it) entered by
# `in13`. Both see the same settings folders, so one mirror configuration is read by the old and the new client.

AIRDOCK_TOOLS=${AIRDOCK_TOOLS:-$HOME/.cache/airdock-tools}
TRIXIE=$AIRDOCK_TOOLS/trixie
export PATH=$AIRDOCK_TOOLS/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Runs the calling script again inside the namespaces; returns there. Becomes root by sudo where it must.
enter_world() {
  if [ -z "${AIRDOCK_WORLD:-}" ]; then
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    exec "${root[@]}" env AIRDOCK_WORLD=1 AIRDOCK_TOOLS="$AIRDOCK_TOOLS" AIRDOCK_BIN="${AIRDOCK_BIN:-}" \
      unshare --mount --pid --net --fork --kill-child --mount-proc bash "$0" "$@"
  fi
  # The first process of a namespace is deaf to signals it has no handler for.
  trap 'exit 130' INT TERM
  ip link set lo up
  local folder
  # Work folder and sockets: short paths, because a socket's path is limited to 107 bytes.
  mount -t tmpfs -o mode=755 tmpfs /run
  for folder in /var/lib/containers /var/lib/containerd /var/lib/docker /etc/containerd /etc/containers /etc/docker; do
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
  done
  WORK=/run/airdock-test
  mkdir -p $WORK /run/home
  export HOME=/run/home XDG_RUNTIME_DIR=/run WORK

  # chroot into a plain folder makes every layer unpack fail (`remount /: invalid argument`): it must be a mount point.
  mount --bind "$TRIXIE" "$TRIXIE"
  mount -t proc proc "$TRIXIE/proc"
  mount --rbind /sys "$TRIXIE/sys"
  mount --rbind /dev "$TRIXIE/dev"
  mount -t tmpfs -o mode=755 tmpfs "$TRIXIE/run"
  for folder in /var/lib/containers /var/lib/containerd /var/lib/docker; do
    mkdir -p "$TRIXIE$folder"
    mount -t tmpfs tmpfs "$TRIXIE$folder"
  done
  for folder in /etc/containerd /etc/containers /etc/docker $WORK /run/home; do
    mkdir -p "$TRIXIE$folder"
    mount --bind "$folder" "$TRIXIE$folder"
  done
  printf '127.0.0.1 localhost airdock.test\n' > /run/hosts
  mount --bind /run/hosts /etc/hosts
  mount --bind /run/hosts "$TRIXIE/etc/hosts"
}

# Runs a command of Debian 13.
in13() { chroot "$TRIXIE" "$@"; }

# By full path: another docker may come first in the PATH.
docker20() { /usr/bin/docker "$@"; }
docker26() { in13 docker "$@"; }
# Docker 26 keeping its images in containerd, which new installations of Docker 29 and later do.
docker26_store() { in13 docker --host unix:///run/docker-store.sock "$@"; }

# start NAME COMMAND... runs a daemon in the background with its output in $WORK/NAME.log.
start() {
  local name=$1
  shift
  "$@" > "$WORK/$name.log" 2>&1 &
}

# wait_until SECONDS NAME COMMAND... waits for a command to succeed, or shows the end of NAME's log and fails.
wait_until() {
  local left=$(($1 * 10)) name=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    left=$((left - 1))
    if [ $left -le 0 ]; then
      echo "$name is not ready; the end of its log:" >&2
      tail -n 20 "$WORK/$name.log" >&2
      return 1
    fi
    sleep 0.1
  done
}

# compile_hello FILE: the program of the images that print their name.
compile_hello() {
  gcc -static -nostdlib -Os -s -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
    -Wl,--build-id=none -Wl,-z,noseparate-code -o "$1" \
    "$(dirname "${BASH_SOURCE[0]}")/../../examples/stand-in/hello.c"
}

# containerd as the packages set it up, with the mirror folder; without plug-ins that need devices test machines lack.
start_containerds() {
  cat > /etc/containerd/config.toml << 'END'
version = 2
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing", "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
END
  start containerd-1.6 containerd
  start containerd-1.7 in13 containerd
  wait_until 20 containerd-1.6 ctr version
  wait_until 20 containerd-1.7 in13 ctr version
}

# start_dockers [MIRROR]: dockerd without what would need iptables, over the containerd of its Debian.
start_dockers() {
  local settings
  settings='"bridge": "none", "iptables": false, "ip6tables": false, "ip-masq": false,
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "registry-mirrors": ['${1:+\"$1\"}']'
  echo "{$settings}" > /etc/docker/daemon.json
  echo "{$settings, \"features\": {\"containerd-snapshotter\": true}}" > /etc/docker/store.json
  start dockerd-20 /usr/sbin/dockerd
  start dockerd-26 in13 dockerd
  start dockerd-26-store in13 dockerd --config-file /etc/docker/store.json --host unix:///run/docker-store.sock \
    --pidfile /run/docker-store.pid --data-root /var/lib/docker/store --exec-root /run/docker-store \
    --containerd-namespace store --containerd-plugins-namespace store-plugins
  wait_until 30 dockerd-20 docker20 version
  wait_until 30 dockerd-26 docker26 version
  wait_until 30 dockerd-26-store docker26_store version
}
