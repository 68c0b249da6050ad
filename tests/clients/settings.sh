# What an operator would write on the nodes so that image names stay unmodified: sourced by tests/clients/run.

# Upstream hosts whose names the clients use and that Airdock answers for.
UPSTREAMS=(
  docker.io
  715803424590.dkr.ecr.eu-west-1.amazonaws.com
  715803424590.dkr.ecr.eu-central-1.amazonaws.com
  europe-west3-docker.pkg.dev
)

write_settings() {
  containerd_mirrors
  containers_settings
  mkdir -p /etc/docker/certs.d/$SECURE
  cp "$WORK/ca.crt" /etc/docker/certs.d/$SECURE/ca.crt
}

# One folder per upstream; the node asks Airdock and, here, no other host can be reached.
containerd_mirrors() {
  local upstream folder
  for upstream in "${UPSTREAMS[@]}"; do
    folder=/etc/containerd/certs.d/$upstream
    mkdir -p "$folder"
    printf 'server = "https://%s"\n[host."http://%s"]\ncapabilities = ["pull", "resolve"]\n' "$upstream" $PLAIN \
      > "$folder/hosts.toml"
  done
  mkdir -p /etc/containerd/certs.d/{$PLAIN,$SECURE}
  printf '[host."http://%s"]\ncapabilities = ["pull", "resolve", "push"]\n' $PLAIN \
    > /etc/containerd/certs.d/$PLAIN/hosts.toml
  printf '[host."https://%s"]\ncapabilities = ["pull", "resolve", "push"]\nca = "%s/ca.crt"\n' $SECURE "$WORK" \
    > /etc/containerd/certs.d/$SECURE/hosts.toml
}

# podman, skopeo and buildah: a prefix per upstream that is looked up below Airdock's path prefix of the same name.
containers_settings() {
  local upstream
  printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' > /etc/containers/policy.json
  printf '[network]\nnetwork_backend = "netavark"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' \
    > /etc/containers/containers.conf
  {
    printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' $PLAIN
    for upstream in "${UPSTREAMS[@]}"; do
      printf '[[registry]]\nprefix = "%s"\nlocation = "%s/%s"\ninsecure = true\n' "$upstream" $PLAIN "$upstream"
    done
  } > /etc/containers/registries.conf
  # podman 5 fetches only the parts of a layer that it lacks when it is told to; for its own test alone.
  printf '[storage]\ndriver = "overlay"\nrunroot = "/run/containers/storage"\ngraphroot = "%s"\n%s\n%s\n' \
    /var/lib/containers/storage '[storage.options]' 'pull_options = {enable_partial_images = "true"}' \
    > /etc/containers/storage-partial.conf
  mkdir -p /etc/containers/certs.d/$SECURE
  cp "$WORK/ca.crt" /etc/containers/certs.d/$SECURE/ca.crt
}

# An internal CA and a server certificate it signed.
make_certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=internal CA' \
    -keyout "$WORK/ca.key" -out "$WORK/ca.crt" 2> /dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$SECURE" \
    -keyout "$WORK/tls.key" -out "$WORK/tls.csr" 2> /dev/null
  printf 'subjectAltName=DNS:%s,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' $SECURE > "$WORK/tls.ext"
  openssl x509 -req -in "$WORK/tls.csr" -CA "$WORK/ca.crt" -CAkey "$WORK/ca.key" -CAcreateserial -days 2 \
    -extfile "$WORK/tls.ext" -out "$WORK/tls.crt" 2> /dev/null
}
