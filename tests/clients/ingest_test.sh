# Archives as the tools of today and yesterday save them, taken in by `airdock ingest` while the server runs.

# save_with_all FOLDER IMAGE: one image, saved in seven ways by four tools under a tag each.
save_with_all() {
  local folder=$1 image=$2
  oci_archive "$image" "$WORK/source.tar"
  rm -f "$WORK/source-docker.tar"
  skopeo copy --quiet "oci-archive:$WORK/source.tar" "docker-archive:$WORK/source-docker.tar:$image:source"
  docker20 load --quiet < "$WORK/source-docker.tar"
  docker20 tag "$image:source" "$image:docker-20"
  docker20 save "$image:docker-20" > "$folder/docker-20.tar"
  docker26 load --quiet < "$WORK/source-docker.tar"
  docker26 tag "$image:source" "$image:docker-26"
  docker26 save "$image:docker-26" > "$folder/docker-26.tar"
  docker26_store load --quiet < "$WORK/source-docker.tar"
  docker26_store tag "$image:source" "$image:docker-store"
  docker26_store save "$image:docker-store" > "$folder/docker-store.tar"
  podman4 load --quiet --input "$WORK/source-docker.tar"
  podman4 tag "$image:source" "$image:podman"
  podman4 save --quiet --output "$folder/podman.tar" "$image:podman"
  podman4 tag "$image:source" "$image:podman-oci"
  podman4 save --quiet --format oci-archive --output "$folder/podman-oci.tar" "$image:podman-oci"
  skopeo copy --quiet "oci-archive:$WORK/source.tar" "docker-archive:$folder/skopeo.tar:$image:skopeo"
  skopeo copy --quiet "oci-archive:$WORK/source.tar" "oci-archive:$folder/skopeo-oci.tar:$image:skopeo-oci"
}

# What an image is, however it is packed: its configuration, which names its layers' contents, byte for byte.
configuration() { skopeo inspect --config --raw "docker://$PLAIN/$1" | sha256sum; }

test_archives_of_docker_podman_and_skopeo_serve_the_same_image() {
  local folder image tag wanted
  folder=$(mktemp -d "$WORK/bundle.XXXXXX")
  mkdir "$folder/images"
  image=registry.example.com/$(fresh_name saved)
  save_with_all "$folder/images" "$image"
  "$AIRDOCK_BIN" ingest --data "$WORK/data-airdock" "$folder"
  wanted=$(configuration "$image:docker-20")
  for tag in docker-26 docker-store podman podman-oci skopeo skopeo-oci; do
    [ "$(configuration "$image:$tag")" = "$wanted" ] || fail "$tag is another image than docker-20"
  done
  for tag in docker-20 docker-26 docker-store podman podman-oci skopeo skopeo-oci; do
    ctr_pull ctr16 "$PLAIN/$image:$tag"
    expect "$image" ctr_hello ctr16 "$PLAIN/$image:$tag"
  done
}

# The bundle as one compressed tar from a pipe, the way it comes off a medium; nothing of it is there yet.
test_a_bundle_piped_in_compressed_is_served() {
  local folder image
  folder=$(mktemp -d "$WORK/bundle.XXXXXX")
  mkdir "$folder/images"
  image=registry.example.com/$(fresh_name piped):v1
  oci_archive "$image" "$folder/images/x.tar" "$image"
  tar --create --directory "$folder" images | zstd --quiet | "$AIRDOCK_BIN" ingest --data "$WORK/data-airdock" -
  podman5 pull --quiet "$PLAIN/$image"
  expect "$image" podman_hello podman5 "$PLAIN/$image"
}
