# Two versions of one stack, gone back and forward between, as nodes and Helm see them.

# stack NAME VERSION: a bundle of two images, one with a tag every version moves, and a chart of the version.
stack() {
  local folder
  folder=$(mktemp -d "$WORK/stack.XXXXXX")
  mkdir "$folder/images" "$folder/charts"
  oci_archive "$1 $2" "$folder/images/moving.tar" "registry.example.com/$1:current"
  oci_archive "$1 side $2" "$folder/images/side.tar" "registry.example.com/$1:side-$2"
  helm3 create "$folder/$1" > /dev/null
  helm3 package "$folder/$1" --version "$2" --destination "$folder/charts" > /dev/null
  rm -r "${folder:?}/$1"
  echo "$folder"
}

# ingest_release FOLDER: the number of the release it becomes.
ingest_release() {
  "$AIRDOCK_BIN" ingest --json --data "$WORK/data-airdock" "$1" | sed -n 's/.*"event":"finished".*"release":\([0-9]*\).*/\1/p'
}

# sees NAME VERSION: both containerds run the version under the moving tag, both Helms find it as the newest.
sees() {
  local image=$PLAIN/registry.example.com/$1:current client
  for client in ctr16 ctr17; do
    ctr_pull $client "$image"
    expect "$1 $2" ctr_hello $client "$image"
  done
  for client in helm3 helm4; do
    expect "version: $2" $client show chart --plain-http "oci://$PLAIN/charts/$1"
  done
}

test_a_stack_goes_back_and_forward_and_what_was_pushed_between_stays() {
  local name first second side
  name=$(basename "$(fresh_name stack)")
  first=$(ingest_release "$(stack "$name" 1.0.0)")
  second=$(ingest_release "$(stack "$name" 2.0.0)")
  sees "$name" 2.0.0
  expect "release $first is in effect" "$AIRDOCK_BIN" release rollback --data "$WORK/data-airdock"
  sees "$name" 1.0.0
  side=$PLAIN/registry.example.com/$name:side-2.0.0
  if ctr_pull ctr16 "$side" 2> /dev/null; then fail "the newer version is still served"; fi

  oci_archive "$name pushed by a job" "$WORK/own.tar"
  skopeo copy --quiet "oci-archive:$WORK/own.tar" "docker://$side"
  expect "kept: \`registry.example.com/$name:side-2.0.0\` stays" \
    "$AIRDOCK_BIN" release rollback "$second" --data "$WORK/data-airdock"
  sees "$name" 2.0.0
  ctr_pull ctr17 "$side"
  expect "$name pushed by a job" ctr_hello ctr17 "$side"
}
