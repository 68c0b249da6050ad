# Each dialect of archive as the tool itself writes it, taken in while the server runs, pulled and run by another tool.
# Docker 20 and 26, podman and skopeo archives of one image are in ingest_test.sh; folders and a registry's own storage in
# folders_test.sh; charts, signatures and other artifacts in carried_test.sh.
#
# Not here, because their modules cannot be had from the Go proxy of the test machine:
# - kaniko's `--tar-path`: it calls `tarball.MultiWriteToFile` of go-containerregistry, as `crane pull` does here;
# - nerdctl's `save`: it calls `images/archive.Export` of containerd, as `ctr images export` does here;
# - hauler's `store save`: a layout by another tool, with the annotations of its `pkg/consts` and its compression; hauls with
#   charts, files and signatures are in sync/tests/it/hauls.rs;
# - `buildctl`: BuildKit is the one within Docker 26, asked by buildx.

# Debian's docker-registry, for tools that only save what they have pulled.
OUTSIDE=127.0.0.1:5001
outside() {
  [ ! -e "$WORK/outside.yml" ] || return 0
  printf 'version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n' \
    "$WORK/outside" $OUTSIDE > "$WORK/outside.yml"
  printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' $OUTSIDE >> /etc/containers/registries.conf
  mkdir -p /etc/containerd/certs.d/$OUTSIDE
  printf '[host."http://%s"]\n' $OUTSIDE > /etc/containerd/certs.d/$OUTSIDE/hosts.toml
  start outside docker-registry serve "$WORK/outside.yml"
  wait_until 20 outside curl --silent --fail http://$OUTSIDE/v2/
}

# outside_image NAME: an image whose text is NAME, there. For its digest: outside_digest.
outside_image() {
  outside
  oci_archive "$1" "$WORK/outside-source.tar"
  skopeo copy --quiet "oci-archive:$WORK/outside-source.tar" "docker://$OUTSIDE/$1"
}

# outside_index NAME: the same for two platforms, of which this machine runs one.
outside_index() {
  outside_image "$1"
  crane mutate --insecure --set-platform linux/s390x --tag "$OUTSIDE/${1%:*}:s390x" "$OUTSIDE/$1" > /dev/null
  regctl registry set --tls disabled $OUTSIDE
  regctl index create --ref "$OUTSIDE/$1" --ref "$OUTSIDE/${1%:*}:s390x" "$OUTSIDE/$1"
}

outside_digest() { crane digest --insecure "$OUTSIDE/$1"; }

ingest() { "$AIRDOCK_BIN" ingest --data "$WORK/data-airdock" "$@"; }

# A file or folder that is not there yet.
fresh_path() { mktemp --dry-run "$WORK/dialect.XXXXXX"; }

# serves NAME DIGEST: it has the digest it had outside.
serves() { expect "$2" crane digest --insecure "$PLAIN/$1"; }

# runs CTR NAME [TEXT]: that containerd pulls and runs it, and it says TEXT (or NAME).
runs() {
  ctr_pull "$1" "$PLAIN/$2"
  expect "${3:-$2}" ctr_hello "$1" "$PLAIN/$2"
}

# Docker with the containerd store pulls one platform and saves the index it was given: sparse, with its digest.
test_dialect_docker_containerd_store_sparse_index_keeps_its_digest() {
  local name file
  name=$(fresh_name store):v1 file=$(fresh_path)
  outside_index "$name"
  docker26_store pull --quiet "$OUTSIDE/$name"
  docker26_store tag "$OUTSIDE/$name" "registry.example.com/$name"
  docker26_store save "registry.example.com/$name" > "$file"
  expect linux/s390x ingest "$file"
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  runs ctr16 "registry.example.com/$name" "$name"
}

podman_saves_several_images_in_one_archive() {
  local file one two
  file=$(fresh_path)
  one=registry.example.com/$(fresh_name podman-one):v1 two=registry.example.com/$(fresh_name podman-two):v2
  rootfs "$one" | "$1" import --quiet --change 'ENTRYPOINT ["/hello"]' - "$one"
  rootfs "$two" | "$1" import --quiet --change 'ENTRYPOINT ["/hello"]' - "$two"
  "$1" save --quiet --multi-image-archive --output "$file" "$one" "$two"
  ingest "$file"
  runs ctr17 "$one"
  runs ctr17 "$two"
}
test_dialect_podman_4_saves_several_images_in_one_archive() { podman_saves_several_images_in_one_archive podman4; }
test_dialect_podman_5_saves_several_images_in_one_archive() { podman_saves_several_images_in_one_archive podman5; }

# ctr_exports CTR OTHER OPTION...: pulled and exported by CTR with that option, pulled back by OTHER.
ctr_exports() {
  local ctr=$1 other=$2 name file
  shift 2
  name=$(fresh_name ctr):v1 file=$(fresh_path)
  outside_index "$name"
  "$ctr" images pull --hosts-dir /etc/containerd/certs.d "$@" "$OUTSIDE/$name" > /dev/null
  "$ctr" images tag "$OUTSIDE/$name" "registry.example.com/$name" > /dev/null
  "$ctr" images export "$@" "$file" "registry.example.com/$name"
  ingest "$file" > "$file.report"
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  runs "$other" "registry.example.com/$name" "$name"
}
test_dialect_ctr_1_6_exports_all_platforms() { ctr_exports ctr16 ctr17 --all-platforms; }
test_dialect_ctr_1_7_exports_all_platforms() { ctr_exports ctr17 ctr16 --all-platforms; }
test_dialect_ctr_1_6_exports_one_platform_of_an_index() { ctr_exports ctr16 ctr17 --platform linux/amd64; }
test_dialect_ctr_1_7_exports_one_platform_of_an_index() { ctr_exports ctr17 ctr16 --platform linux/amd64; }

# crane_pulls FORMAT: `tarball` and `legacy` are docker archives with gzip layers, of which the manifest is lost.
crane_pulls() {
  local name file
  name=$(fresh_name crane):v1 file=$(fresh_path)
  outside_image "$name"
  crane pull --insecure --format "$1" "$OUTSIDE/$name" "$file"
  ingest "$file"
  runs ctr17 "127.0.0.1_5001/$name" "$name"
}
test_dialect_crane_pulls_a_tarball() { crane_pulls tarball; }
test_dialect_crane_pulls_a_legacy_tarball() { crane_pulls legacy; }
test_dialect_crane_pulls_a_layout_with_the_name_kept() {
  local name folder
  name=$(fresh_name crane):v1 folder=$(fresh_path)
  outside_image "$name"
  crane pull --insecure --format oci --annotate-ref "$OUTSIDE/$name" "$folder"
  ingest "$folder"
  serves "127.0.0.1_5001/$name" "$(outside_digest "$name")"
  runs ctr17 "127.0.0.1_5001/$name" "$name"
}

# buildkit_builds TYPE: BuildKit itself writes the archive; its images carry an attestation as another manifest.
buildkit_builds() {
  local image file=$WORK/buildkit-$1.tar
  image=registry.example.com/$(fresh_name buildkit):v1
  mkdir -p "$WORK/buildkit"
  cp "$WORK/hello" "$WORK/buildkit/hello"
  echo "$image" > "$WORK/buildkit/image.txt"
  printf 'FROM scratch\nCOPY hello image.txt /\nENTRYPOINT ["/hello"]\n' > "$WORK/buildkit/Dockerfile"
  docker26_store buildx build --quiet --output "type=$1,name=$image,dest=$file" "$WORK/buildkit"
  ingest "$file"
  runs ctr17 "$image"
}
test_dialect_buildkit_builds_a_docker_archive() { buildkit_builds docker; }
test_dialect_buildkit_builds_an_oci_archive() { buildkit_builds oci; }

test_dialect_regctl_exports_an_index_with_its_name() {
  local name file
  name=$(fresh_name regctl):v1 file=$(fresh_path)
  outside_index "$name"
  regctl registry set --tls disabled $OUTSIDE
  regctl image export --name "registry.example.com/$name" "$OUTSIDE/$name" "$file"
  ingest "$file"
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  runs ctr16 "registry.example.com/$name" "$name"
}

# nested_index NAME: in the other Airdock, an index of an image and of an index of two images. What this machine runs is in
# the inner one.
nested_index() {
  local name=$1
  export SSL_CERT_FILE=$WORK/ca.crt
  oci_archive "$name" "$WORK/nested.tar"
  skopeo copy --quiet "oci-archive:$WORK/nested.tar" "docker://$SECURE/$name-amd64"
  crane mutate --set-platform linux/arm64 --tag "$SECURE/$name-arm64" "$SECURE/$name-amd64" > /dev/null
  crane mutate --set-platform linux/s390x --tag "$SECURE/$name-s390x" "$SECURE/$name-amd64" > /dev/null
  crane index append --manifest "$SECURE/$name-amd64" --manifest "$SECURE/$name-arm64" --tag "$SECURE/$name-inner"
  crane index append --flatten=false --manifest "$SECURE/$name-inner" --manifest "$SECURE/$name-s390x" \
    --tag "$SECURE/$name"
  expect "$(crane digest "$SECURE/$name-inner")" crane manifest "$SECURE/$name"
}

# carries_nested_index FILE HERE NAME: from FILE, HERE has every manifest that NAME has in the other Airdock, byte for byte,
# and everything those name; and it runs.
carries_nested_index() {
  local here=$2 there=$SECURE/$3 part digest
  ingest "$1"
  for part in "" -inner -amd64 -arm64 -s390x; do
    digest=$(crane digest "$there$part")
    crane manifest "$there$part" > "$WORK/there"
    crane manifest --insecure "$PLAIN/${here%:*}@$digest" > "$WORK/here"
    cmp "$WORK/there" "$WORK/here"
  done
  serves "$here" "$(crane digest "$there")"
  crane validate --insecure --remote "$PLAIN/$here"
  runs ctr16 "$here" "$3"
  runs ctr17 "$here" "$3"
}

test_dialect_crane_nested_index_in_a_layout_comes_back_byte_for_byte() {
  local name folder
  name=$(fresh_name nested):v1 folder=$(fresh_path)
  nested_index "$name"
  crane pull --format oci --annotate-ref "$SECURE/$name" "$folder"
  carries_nested_index "$folder" "$SECURE/$name" "$name"
}
test_dialect_regctl_exports_a_nested_index_that_comes_back_byte_for_byte() {
  local name file
  name=$(fresh_name nested):v1 file=$(fresh_path)
  nested_index "$name"
  regctl image export --name "registry.example.com/$name" "$SECURE/$name" "$file"
  carries_nested_index "$file" "registry.example.com/$name" "$name"
}

# One layout, to which skopeo adds: an image, an index, and another tag of that.
test_dialect_skopeo_layout_of_several_references_keeps_their_digests() {
  local one two folder digest
  one=$(fresh_name skopeo-one):v1 two=$(fresh_name skopeo-two):v2 folder=$(fresh_path)
  outside_image "$one"
  outside_index "$two"
  skopeo copy --quiet --preserve-digests "docker://$OUTSIDE/$one" "oci:$folder:registry.example.com/$one"
  skopeo copy --quiet --all "docker://$OUTSIDE/$two" "oci:$folder:registry.example.com/$two"
  skopeo copy --quiet --all "docker://$OUTSIDE/$two" "oci:$folder:registry.example.com/$two-again"
  ingest "$folder"
  serves "registry.example.com/$one" "$(outside_digest "$one")"
  digest=$(outside_digest "$two")
  serves "registry.example.com/$two" "$digest"
  serves "registry.example.com/$two-again" "$digest"
  runs ctr16 "registry.example.com/$one" "$one"
  runs ctr17 "registry.example.com/$two" "$two"
}

# As hauler 2.1 saves its store: names twice in the index, once without the host.
test_dialect_haul_keeps_the_upstream_name() {
  local name folder
  name=$(fresh_name haul):v1 folder=$(fresh_path)
  outside_image "$name"
  skopeo copy --quiet "docker://$OUTSIDE/$name" "oci:$folder:haul"
  sed -i "s|\"org.opencontainers.image.ref.name\":\"haul\"|\"kind\":\"dev.hauler/image\",\
\"org.opencontainers.image.ref.name\":\"$name\",\"io.containerd.image.name\":\"registry.example.com/$name\"|" \
    "$folder/index.json"
  grep -q dev.hauler/image "$folder/index.json"
  tar --create --zstd --directory "$folder" --file "$folder.tar.zst" .
  ingest "$folder.tar.zst"
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  runs ctr17 "registry.example.com/$name" "$name"
}

# oras keeps the tag and no name, and the ingest says how to pull it nevertheless.
test_dialect_oras_copies_into_a_layout_without_a_name() {
  local name folder digest
  name=$(fresh_name oras):v1 folder=$(fresh_path)
  outside_image "$name"
  digest=$(outside_digest "$name")
  oras13 cp --from-plain-http --to-oci-layout "$OUTSIDE/$name" "$folder:v1"
  expect "untagged@$digest" ingest "$folder"
  runs ctr16 "untagged@$digest" "$name"
}

test_dialect_oras_layout_is_served_under_the_name_it_is_given() {
  local name folder
  name=$(fresh_name oras):v1 folder=$(fresh_path)
  outside_index "$name"
  oras13 cp --from-plain-http --to-oci-layout "$OUTSIDE/$name" "$folder:v1"
  ingest --base-name "registry.example.com/${name%:*}" "$folder"
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  runs ctr17 "registry.example.com/$name" "$name"
}

# What one image looks like in each wrapping, from each kind of place: nothing but the way in differs.
wrapped() {
  local image file
  image=registry.example.com/$(fresh_name wrapped):v1
  file=$(fresh_path)
  oci_archive "$image" "$file" "$image"
  "$@" "$file"
  runs ctr17 "$image"
}
gzip_file() { gzip --force "$1" && ingest "$1.gz"; }
zstd_file() { zstd --quiet "$1" && ingest "$1.zst"; }
piped() { ingest - < "$1"; }
tar_in_a_tar() { tar --create --directory "$WORK" "$(basename "$1")" > "$1.outer" && ingest "$1.outer"; }
gzip_in_a_tar_in_zstd() { gzip "$1" && tar --create --directory "$WORK" "$(basename "$1").gz" | zstd > "$1.o" && ingest "$1.o"; }
test_dialect_in_gzip() { wrapped gzip_file; }
test_dialect_in_zstd() { wrapped zstd_file; }
test_dialect_from_a_pipe() { wrapped piped; }
test_dialect_as_a_tar_in_a_tar() { wrapped tar_in_a_tar; }
test_dialect_as_gzip_in_a_tar_in_zstd() { wrapped gzip_in_a_tar_in_zstd; }
