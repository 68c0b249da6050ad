# podman 4 and 5, skopeo and buildah, with `registries.conf` prefixes.

podman4() { podman "$@"; }
podman5() { in13 env PODMAN_IGNORE_CGROUPSV1_WARNING=1 podman "$@"; }
# runc, because crun refuses a hybrid cgroup tree; limits, because the default ones may exceed the machine's.
podman_hello() {
  "$1" run --rm --network none --runtime runc --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$2"
}

pulls_by_unmodified_names_and_runs_with_podman() {
  "$1" pull --quiet $CLIENT
  expect "zenml:0.93.2 is a stand-in" podman_hello "$1" $CLIENT
  "$1" pull --quiet $API
  expect "zenml-pro-api:0.13.2 is a stand-in" podman_hello "$1" $API
}
test_podman_4_pulls_by_unmodified_names_and_runs() { pulls_by_unmodified_names_and_runs_with_podman podman4; }
test_podman_5_pulls_by_unmodified_names_and_runs() { pulls_by_unmodified_names_and_runs_with_podman podman5; }

# $1 pushes an image of its own making to registry $3, $2 pulls and runs it.
podman_pushes_what_another_pulls_and_runs() {
  local image
  image=$3/$(fresh_name podman):v1
  rootfs "$image" | "$1" import --quiet --change 'ENTRYPOINT ["/hello"]' - "$image"
  "$1" push --quiet "$image"
  "$2" pull --quiet "$image"
  expect "$image" podman_hello "$2" "$image"
}
test_podman_4_pushes_what_5_pulls_and_runs() { podman_pushes_what_another_pulls_and_runs podman4 podman5 $PLAIN; }
test_podman_5_pushes_what_4_pulls_and_runs() { podman_pushes_what_another_pulls_and_runs podman5 podman4 $PLAIN; }
test_podman_5_pushes_over_tls_what_4_pulls_and_runs() { podman_pushes_what_another_pulls_and_runs podman5 podman4 $SECURE; }

buildah_builds_pushes_and_podman_runs() {
  local image
  image=$PLAIN/$(fresh_name buildah):v1
  mkdir -p "$WORK/build"
  cp "$WORK/hello" "$WORK/build/hello"
  echo "$image" > "$WORK/build/image.txt"
  printf 'FROM scratch\nCOPY hello image.txt /\nENTRYPOINT ["/hello"]\n' > "$WORK/build/Containerfile"
  "$@" build --quiet --tag "$image" "$WORK/build"
  "$@" push --quiet "$image"
  podman5 pull --quiet "$image"
  expect "$image" podman_hello podman5 "$image"
}
test_buildah_of_debian_12_builds_and_pushes() { buildah_builds_pushes_and_podman_runs buildah; }
test_buildah_of_debian_13_builds_and_pushes() { buildah_builds_pushes_and_podman_runs in13 buildah; }

# Copies by upstream name into a folder and back under a new name, with the digest unchanged.
skopeo_copies_out_and_in_again() {
  local name digest folder
  name=$(fresh_name skopeo)
  folder=$(mktemp -d "$WORK/skopeo.XXXXXX")
  "$@" copy --quiet --preserve-digests docker://$SERVER "dir:$folder"
  "$@" copy --quiet --preserve-digests "dir:$folder" "docker://$PLAIN/$name:v1"
  digest=$("$@" inspect --no-tags --format '{{.Digest}}' "docker://$SERVER")
  expect "$digest" "$@" inspect --format '{{.Digest}}' "docker://$PLAIN/$name:v1"
  expect '"v1"' "$@" list-tags "docker://$PLAIN/$name"
  "$@" copy --quiet "docker://$PLAIN/$name@$digest" "dir:$(mktemp -d "$WORK/dir.XXXXXX")"
}
test_skopeo_of_debian_12_copies_out_and_in_again() { skopeo_copies_out_and_in_again skopeo; }
test_skopeo_of_debian_13_copies_out_and_in_again() { skopeo_copies_out_and_in_again in13 skopeo; }

# Of a zstd:chunked layer podman asks for the parts it lacks, many ranges in one request.
test_podman_5_pulls_parts_of_a_zstd_chunked_layer() {
  local image
  image=$PLAIN/$(fresh_name chunked):v1
  rootfs "$image" | podman5 import --quiet --change 'ENTRYPOINT ["/hello"]' - "$image"
  podman5 push --quiet --compression-format zstd:chunked "$image"
  podman5 rmi --force "$image" > /dev/null
  expect "Retrieved partial blob" in13 env CONTAINERS_STORAGE_CONF=/etc/containers/storage-partial.conf \
    podman --log-level debug pull "$image"
  expect "$image" podman_hello podman5 "$image"
}
