# Bundles that cosign signed, taken in by a command that asks for its key while the server runs.

# refused FOLDER TEXT [ARGUMENTS...]: the bundle does not go in, and TEXT says why.
refused() {
  local folder=$1 text=$2 output status=0
  shift 2
  output=$("$AIRDOCK_BIN" ingest --data "$WORK/data-airdock" --key "$WORK/cosign-bundle.pub" "$@" "$folder" 2>&1) || status=$?
  [ $status = 65 ] || fail "the ingest ended with $status: $output"
  [[ $output == *"$text"* ]] || fail "it did not say \`$text\` but: $output"
}

test_a_bundle_cosign_signed_goes_in_and_another_image_of_its_name_does_not() {
  local folder image
  folder=$(mktemp -d "$WORK/bundle.XXXXXX")
  mkdir "$folder/images"
  image=registry.example.com/$(fresh_name signed):v1
  oci_archive "$image" "$folder/images/x.tar" "$image"
  in13 env COSIGN_PASSWORD=x cosign generate-key-pair --output-key-prefix "$WORK/cosign-bundle"
  refused "$folder" "no inventory"
  "$AIRDOCK_BIN" inventory --expires 90d "$folder" > "$WORK/inventory.txt"
  mv "$WORK/inventory.txt" "$folder/inventory.txt"
  refused "$folder" "it has no signature"
  in13 env COSIGN_PASSWORD=x cosign sign-blob --yes --key "$WORK/cosign-bundle.key" --tlog-upload=false \
    --output-signature "$folder/inventory.txt.sig" "$folder/inventory.txt"
  mv "$folder/images/x.tar" "$WORK/signed.tar"
  oci_archive "$image swapped" "$folder/images/x.tar" "$image"
  refused "$folder" "where the inventory says sha256:"
  ! podman5 pull --quiet "$PLAIN/$image" || fail "it can be pulled"
  mv "$WORK/signed.tar" "$folder/images/x.tar"
  expect "signed: " "$AIRDOCK_BIN" ingest --data "$WORK/data-airdock" --key "$WORK/cosign-bundle.pub" "$folder"
  podman5 pull --quiet "$PLAIN/$image"
  expect "$image" podman_hello podman5 "$PLAIN/$image"
}
