# Dialects that lay out blobs in folders of their own: skopeo's `dir:` and the trees of `skopeo sync`, and the storage of a
# registry; and what else a bundle may be wrapped in or be on. Helpers are in dialects_test.sh.

# A `dir:` has no name but its place: here the one it was copied from, and none.
test_dialect_skopeo_dir_keeps_the_digest() {
  local name folder digest
  name=$(fresh_name dir):v1 folder=$(fresh_path)
  outside_index "$name"
  digest=$(outside_digest "$name")
  mkdir -p "$folder/registry.example.com/test"
  skopeo copy --quiet --all "docker://$OUTSIDE/$name" "dir:$folder/registry.example.com/$name"
  ingest "$folder"
  serves "registry.example.com/$name" "$digest"
  runs ctr16 "registry.example.com/$name" "$name"
}
test_dialect_skopeo_dir_without_a_name_is_pulled_by_digest() {
  local name folder digest
  name=$(fresh_name dir):v1 folder=$(fresh_path)
  outside_image "$name"
  digest=$(outside_digest "$name")
  in13 skopeo copy --quiet "docker://$OUTSIDE/$name" "dir:$folder"
  expect "untagged@$digest" ingest "$folder"
  runs ctr17 "untagged@$digest" "$name"
}
test_dialect_skopeo_dir_is_served_under_the_name_it_is_given() {
  local name folder
  name=$(fresh_name dir):v1 folder=$(fresh_path)
  outside_index "$name"
  in13 skopeo copy --quiet --all "docker://$OUTSIDE/$name" "dir:$folder"
  tar --create --gzip --directory "$folder" . | ingest --name "registry.example.com/$name" -
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  runs ctr16 "registry.example.com/$name" "$name"
}

# sync_tree REPOSITORY NAME OPTION...: two tags of NAME from outside, found under REPOSITORY.
sync_tree() {
  local repository=$1 name=$2 folder
  shift 2
  folder=$(fresh_path)
  outside_image "$name:v1"
  outside_index "$name:v2"
  skopeo sync --src docker --dest dir --all "$@" "$OUTSIDE/$name" "$folder"
  ingest "$folder" > "$folder.report"
  serves "$repository:v1" "$(outside_digest "$name:v1")"
  serves "$repository:v2" "$(outside_digest "$name:v2")"
  runs ctr16 "$repository:v1" "$name:v1"
  runs ctr17 "$repository:v2" "$name:v2"
}
test_dialect_skopeo_sync_tree_scoped_keeps_names_and_digests() {
  local name
  name=$(fresh_name scoped)
  sync_tree "127.0.0.1_5001/$name" "$name" --scoped
}
test_dialect_skopeo_sync_tree_keeps_the_last_of_the_name() {
  local name
  name=$(fresh_name sync)
  sync_tree "$(basename "$name")" "$name"
}

# registry_storage FOLDER NAME: what Debian's docker-registry has in FOLDER after an index of that name was pushed.
registry_storage() {
  local log=$WORK/storage.log pid
  outside_index "$2"
  printf 'version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: 127.0.0.1:5002}\n' \
    "$1" > "$1.yml"
  docker-registry serve "$1.yml" > "$log" 2>&1 &
  pid=$!
  wait_until 20 storage curl --silent --fail http://127.0.0.1:5002/v2/
  crane copy --insecure "$OUTSIDE/$2" "127.0.0.1:5002/$2"
  kill $pid
  wait $pid || true
}
# as_it_lies FOLDER and its like hand it to the ingest.
as_it_lies() { ingest "$1"; }
as_a_tar() { tar --create --directory "$1" . > "$1.tar" && ingest "$1.tar"; }
as_xz_from_a_pipe() { tar --create --xz --directory "$1" . | ingest -; }
registry_storage_serves() {
  local name folder
  name=$(fresh_name storage):v1 folder=$(fresh_path)
  registry_storage "$folder" "$name"
  "$1" "$folder"
  serves "$name" "$(outside_digest "$name")"
  runs ctr17 "$name"
}
test_dialect_registry_storage_as_it_lies() { registry_storage_serves as_it_lies; }
test_dialect_registry_storage_as_a_tar() { registry_storage_serves as_a_tar; }
test_dialect_registry_storage_in_xz_from_a_pipe() { registry_storage_serves as_xz_from_a_pipe; }

xz_file() { xz "$1" && ingest "$1.xz"; }
bzip2_file() { bzip2 "$1" && ingest "$1.bz2"; }
bzip2_piped() { bzip2 --stdout "$1" | ingest -; }
test_dialect_in_xz() { wrapped xz_file; }
test_dialect_in_bzip2() { wrapped bzip2_file; }
test_dialect_in_bzip2_from_a_pipe() { wrapped bzip2_piped; }

# A medium is larger than what was written to it.
block_device() {
  local device code=0
  truncate --size +1M "$1"
  truncate --size %1M "$1"
  device=$(losetup --find --show --read-only "$1")
  ingest "$device" || code=$?
  losetup --detach "$device"
  return $code
}
test_dialect_from_a_block_device() { wrapped block_device; }
