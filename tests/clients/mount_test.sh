# The bundle served from its medium, as the folder it is and as one tar: pulled and run by clients that have none of
# it yet, and nothing of it copied.

# 5001 is the registry outside, 5002 a storage of its own.
MOUNTED=127.0.0.1:5003

# serve_mounted PATH: an Airdock of its own on this medium, until the test ends.
serve_mounted() {
  "$AIRDOCK_BIN" serve --data "$WORK/data-mounted" --listen $MOUNTED --mount "$1" > "$WORK/mounted.out" 2> "$WORK/mounted.log" &
  mounted=$!
  trap 'kill $mounted; wait $mounted || true' EXIT
  wait_until 30 mounted grep -q '^mounted ' "$WORK/mounted.out"
}

nothing_was_copied() {
  [ -z "$(find "$WORK/data-mounted/blobs" "$WORK/data-mounted/repositories" -type f)" ] || fail "the mount was copied"
}

pulls_and_runs_from_a_mounted_folder() {
  local namespace=$1-mounted
  serve_mounted "$BUNDLE"
  "$1" --namespace "$namespace" images pull --plain-http $MOUNTED/zenml/zenml:0.93.2 > /dev/null
  expect "zenml:0.93.2 is a stand-in" "$1" --namespace "$namespace" run --rm --net-host $MOUNTED/zenml/zenml:0.93.2 "hello-$RANDOM"
  "$1" --namespace "$namespace" images pull --plain-http $MOUNTED/$SERVER > /dev/null
  expect "zenml-pro-server:0.93.2 is a stand-in" "$1" --namespace "$namespace" run --rm --net-host $MOUNTED/$SERVER "hello-$RANDOM"
  nothing_was_copied
}
test_containerd_1_6_pulls_and_runs_from_a_mounted_folder() { pulls_and_runs_from_a_mounted_folder ctr16; }
test_containerd_1_7_pulls_and_runs_from_a_mounted_folder() { pulls_and_runs_from_a_mounted_folder ctr17; }

pulls_and_runs_from_a_mounted_tar_with_podman() {
  local store=(--root "$WORK/$1-mounted" --runroot "$WORK/$1-mounted-run" --storage-driver vfs)
  tar --create --file "$WORK/mounted.tar" --directory "$(dirname "$BUNDLE")" "$(basename "$BUNDLE")"
  serve_mounted "$WORK/mounted.tar"
  "$1" "${store[@]}" pull --quiet --tls-verify=false $MOUNTED/zenml/zenml-pro-api:0.13.2
  expect "zenml-pro-api:0.13.2 is a stand-in" "$1" "${store[@]}" run --rm --network none --runtime runc \
    --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 $MOUNTED/zenml/zenml-pro-api:0.13.2
  nothing_was_copied
}
test_podman_4_pulls_and_runs_from_a_mounted_tar() { pulls_and_runs_from_a_mounted_tar_with_podman podman4; }
test_podman_5_pulls_and_runs_from_a_mounted_tar() { pulls_and_runs_from_a_mounted_tar_with_podman podman5; }

test_helm_pulls_a_chart_with_its_provenance_from_a_mounted_folder() {
  serve_mounted "$BUNDLE"
  mkdir -p "$WORK/mounted-charts"
  helm4 pull --plain-http --prov --destination "$WORK/mounted-charts" oci://$MOUNTED/charts/zenml-pro --version 0.13.2
  cmp "$WORK"/mounted-charts/zenml-pro-0.13.2.tgz "$BUNDLE"/charts/zenml-pro-0.13.2.tgz
  nothing_was_copied
}
