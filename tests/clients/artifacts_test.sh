# Tools that work on the registry itself: oras, cosign, crane, regctl.

# oras works on files of its working folder.
oras13() { in13 sh -c 'cd "$0" && exec oras "$@"' "$WORK" "$@"; }

test_oras_pushes_attaches_discovers_and_pulls() {
  local image
  image=$PLAIN/$(fresh_name oras):v1
  echo "{\"about\": \"$image\"}" > "$WORK/report.json"
  oras13 push --plain-http "$image" --artifact-type application/vnd.airdock.test report.json:application/json
  oras13 attach --plain-http "$image" --artifact-type application/vnd.airdock.sbom report.json:application/json
  oras13 attach --plain-http "$image" --artifact-type application/vnd.airdock.scan report.json:application/json
  expect application/vnd.airdock.sbom oras13 discover --plain-http "$image"
  expect application/vnd.airdock.scan oras13 discover --plain-http --artifact-type application/vnd.airdock.scan "$image"
  expect v1 oras13 repo tags --plain-http "${image%:*}"
  rm "$WORK/report.json"
  oras13 pull --plain-http "$image"
  grep -q "$image" "$WORK/report.json"
}

test_oras_copies_an_image_with_what_refers_to_it() {
  local from to
  from=$PLAIN/$(fresh_name oras-from):v1
  to=$PLAIN/$(fresh_name oras-to):v1
  echo "$from" > "$WORK/signature.txt"
  oras13 cp --from-plain-http --to-plain-http $PLAIN/zenml/zenml-pro-api:0.13.2 "$from"
  oras13 attach --plain-http "$from" --artifact-type application/vnd.airdock.signature signature.txt:text/plain
  oras13 cp --recursive --from-plain-http --to-plain-http "$from" "$to"
  expect application/vnd.airdock.signature oras13 discover --plain-http "$to"
}

test_oras_lists_the_repositories() {
  expect zenml/zenml-pro-api oras13 repo ls --plain-http $PLAIN
}

# Signs an image the bundle brought, in both of cosign's ways to store a signature.
test_cosign_signs_and_verifies() {
  local digest mode
  digest=$(skopeo inspect --format '{{.Digest}}' docker://$PLAIN/zenml/zenml-pro-dashboard:0.13.2)
  in13 env COSIGN_PASSWORD=x cosign generate-key-pair --output-key-prefix "$WORK/cosign"
  in13 env COSIGN_PASSWORD=x cosign sign --yes --key "$WORK/cosign.key" --tlog-upload=false \
    --allow-http-registry "$PLAIN/zenml/zenml-pro-dashboard@$digest"
  expect "$digest" in13 cosign verify --key "$WORK/cosign.pub" --insecure-ignore-tlog \
    --allow-http-registry $PLAIN/zenml/zenml-pro-dashboard:0.13.2
}

test_cosign_signs_as_a_referrer_and_verifies() {
  local digest
  digest=$(skopeo inspect --format '{{.Digest}}' docker://$PLAIN/zenml/zenml-pro-server:0.93.2)
  in13 env COSIGN_PASSWORD=x cosign generate-key-pair --output-key-prefix "$WORK/cosign-referrer"
  in13 env COSIGN_PASSWORD=x COSIGN_EXPERIMENTAL=1 cosign sign --yes --key "$WORK/cosign-referrer.key" \
    --tlog-upload=false --registry-referrers-mode=oci-1-1 \
    --allow-http-registry "$PLAIN/zenml/zenml-pro-server@$digest"
  expect application/vnd.dev.cosign.artifact.sig.v1+json \
    oras13 discover --plain-http "$PLAIN/zenml/zenml-pro-server@$digest"
  expect "$digest" in13 env COSIGN_EXPERIMENTAL=1 cosign verify --key "$WORK/cosign-referrer.pub" \
    --insecure-ignore-tlog --experimental-oci11 --allow-http-registry $PLAIN/zenml/zenml-pro-server:0.93.2
}

test_crane_copies_tags_and_deletes() {
  local name digest
  name=$PLAIN/$(fresh_name crane)
  crane copy --insecure $PLAIN/$CLIENT "$name:v1"
  digest=$(crane digest --insecure $PLAIN/$CLIENT)
  expect "$digest" crane digest --insecure "$name:v1"
  crane tag --insecure "$name:v1" v2
  expect v2 crane ls --insecure "$name"
  crane pull --insecure --format oci "$name:v2" "$WORK/crane-layout"
  grep -q "$digest" "$WORK/crane-layout/index.json"
  crane delete --insecure "$name:v2"
  expect v1 crane ls --insecure "$name"
  ! crane digest --insecure "$name:v2" || fail "the deleted tag still answers"
}

# `validate` reads every layer, and takes each for gzip; the bundle's are as `docker save` left them, so not those.
test_crane_appends_a_layer_over_tls_and_validates() {
  local name
  name=$SECURE/$(fresh_name crane-append)
  rootfs "$name" | gzip > "$WORK/append.tar.gz"
  SSL_CERT_FILE=$WORK/ca.crt crane append --new_layer "$WORK/append.tar.gz" --new_tag "$name:v1"
  SSL_CERT_FILE=$WORK/ca.crt crane validate --remote "$name:v1"
}

test_regctl_copies_and_keeps_the_digest() {
  local name digest
  name=$PLAIN/$(fresh_name regctl)
  regctl registry set --tls disabled $PLAIN
  regctl image copy $PLAIN/$SERVER "$name:v1"
  digest=$(regctl image digest $PLAIN/$SERVER)
  expect "$digest" regctl image digest "$name:v1"
  expect v1 regctl tag ls "$name"
  regctl tag delete "$name:v1"
  ! regctl image digest "$name:v1" || fail "the deleted tag still answers"
}

# An artifact that refers to an image, and a blob large enough for regctl to send it in chunks.
test_regctl_puts_artifacts_in_chunks() {
  local name
  name=$PLAIN/$(fresh_name regctl)
  regctl registry set --tls disabled --blob-chunk 65536 --blob-max 131072 $PLAIN
  regctl image copy $PLAIN/zenml/zenml:0.93.2 "$name:v1"
  head -c 1000000 /dev/urandom > "$WORK/large.bin"
  regctl artifact put --artifact-type application/vnd.airdock.large --subject "$name:v1" \
    --file "$WORK/large.bin" --file-media-type application/octet-stream
  expect application/vnd.airdock.large regctl artifact list "$name:v1"
  regctl artifact get --subject "$name:v1" --filter-artifact-type application/vnd.airdock.large > "$WORK/large.back"
  cmp "$WORK/large.bin" "$WORK/large.back"
}
