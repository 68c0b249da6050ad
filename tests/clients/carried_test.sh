# What is carried beside images, made by the real tools: signatures and other artifacts in layouts, signed charts.

signed_keys() {
  [ -e "$WORK/carried.key" ] \
    || in13 env COSIGN_PASSWORD=x cosign generate-key-pair --output-key-prefix "$WORK/carried"
}

# sign NAME OPTION...: outside, with cosign.
sign_outside() {
  local name=$1
  shift
  signed_keys
  in13 env COSIGN_PASSWORD=x COSIGN_EXPERIMENTAL=1 cosign sign --yes --key "$WORK/carried.key" --tlog-upload=false \
    --allow-http-registry "$@" "$OUTSIDE/${name%:*}@$(outside_digest "$name")"
}

verifies() {
  in13 env COSIGN_EXPERIMENTAL=1 cosign verify --key "$WORK/carried.pub" --insecure-ignore-tlog --allow-http-registry "$@"
}

# regctl takes signatures along, those by fallback tag (`sha256-….sig`) and those that refer to the image.
test_carried_signature_by_fallback_tag_verifies_here() {
  local name folder
  name=$(fresh_name signed):v1 folder=$(fresh_path)
  outside_index "$name"
  sign_outside "$name"
  regctl registry set --tls disabled $OUTSIDE
  regctl image copy --digest-tags --referrers "$OUTSIDE/$name" "ocidir://$folder:v1"
  named_layout "$folder" "registry.example.com/$name"
  ingest "$folder"
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  expect "$(outside_digest "$name")" verifies "$PLAIN/registry.example.com/$name"
}

test_carried_signature_by_referrer_verifies_here() {
  local name folder
  name=$(fresh_name signed):v1 folder=$(fresh_path)
  outside_index "$name"
  sign_outside "$name" --registry-referrers-mode=oci-1-1
  oras13 cp --recursive --from-plain-http --to-oci-layout "$OUTSIDE/$name" "$folder:v1"
  named_layout "$folder" "registry.example.com/$name"
  ingest "$folder"
  expect application/vnd.dev.cosign.artifact.sig.v1+json \
    oras13 discover --plain-http "$PLAIN/registry.example.com/$name"
  expect "$(outside_digest "$name")" verifies --experimental-oci11 "$PLAIN/registry.example.com/$name"
}

# named_layout FOLDER NAME: oras and regctl keep the tag alone; a person who wants the name kept writes it in.
named_layout() {
  sed -i "s|\"org.opencontainers.image.ref.name\": *\"v1\"|\"org.opencontainers.image.ref.name\":\"$2\"|" "$1/index.json"
  grep -q "$2" "$1/index.json"
}

test_carried_artifact_in_a_layout_comes_back_as_it_was() {
  local name folder
  name=$(fresh_name artifact):v1 folder=$(fresh_path)
  outside
  echo "{\"about\": \"$name\"}" > "$WORK/carried.json"
  oras13 push --plain-http "$OUTSIDE/$name" --artifact-type application/vnd.airdock.test carried.json:application/json
  oras13 cp --from-plain-http --to-oci-layout "$OUTSIDE/$name" "$folder:v1"
  named_layout "$folder" "registry.example.com/$name"
  tar --create --directory "$folder" . | ingest -
  serves "registry.example.com/$name" "$(outside_digest "$name")"
  rm "$WORK/carried.json"
  oras13 pull --plain-http "$PLAIN/registry.example.com/$name"
  grep -q "$name" "$WORK/carried.json"
}

# Helm signs with keys in the old format of GnuPG.
signing_key() {
  export GNUPGHOME=$WORK/gnupg
  [ ! -e "$GNUPGHOME/secring.gpg" ] || return 0
  mkdir --mode 700 "$GNUPGHOME"
  gpg --batch --quiet --passphrase '' --quick-generate-key 'Carried <carried@example.com>' rsa2048 sign never
  gpg --batch --export > "$GNUPGHOME/pubring.gpg"
  gpg --batch --export-secret-keys > "$GNUPGHOME/secring.gpg"
}

# $1 packs and signs; one chart is given as a file of its own, another somewhere in a folder; $2 pulls and checks the signatures.
carries_signed_charts() {
  local loose deep folder
  folder=$(fresh_path)
  loose=$(basename "$(fresh_name loose)") deep=$(basename "$(fresh_name deep)")
  mkdir -p "$folder/some/where" "$folder/back"
  signing_key
  "$1" create "$folder/$loose" > /dev/null
  "$1" create "$folder/$deep" > /dev/null
  "$1" package --sign --key Carried --keyring "$GNUPGHOME/secring.gpg" --version 1.2.3+build.4 \
    --destination "$folder" "$folder/$loose"
  "$1" package --sign --key Carried --keyring "$GNUPGHOME/secring.gpg" --version 2.0.0 \
    --destination "$folder/some/where" "$folder/$deep"
  ingest "$folder/$loose-1.2.3+build.4.tgz"
  ingest "$folder/some"
  "$2" pull --plain-http "oci://$PLAIN/charts/$loose" --version 1.2.3+build.4 --destination "$folder/back" \
    --verify --keyring "$GNUPGHOME/pubring.gpg"
  "$2" pull --plain-http "oci://$PLAIN/charts/$deep" --version 2.0.0 --destination "$folder/back" \
    --verify --keyring "$GNUPGHOME/pubring.gpg"
  cmp "$folder/$loose-1.2.3+build.4.tgz" "$folder/back/$loose-1.2.3+build.4.tgz"
  cmp "$folder/some/where/$deep-2.0.0.tgz" "$folder/back/$deep-2.0.0.tgz"
}
test_carried_charts_signed_by_helm_3_verify_with_4() { carries_signed_charts helm3 helm4; }
test_carried_charts_signed_by_helm_4_verify_with_3() { carries_signed_charts helm4 helm3; }
