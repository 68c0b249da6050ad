# containerd 1.6 and 1.7 by `ctr`, and by the call a kubelet makes.

ctr16() { ctr "$@"; }
ctr17() { in13 ctr "$@"; }
ctr_pull() { "$1" images pull --hosts-dir /etc/containerd/certs.d "$2" > /dev/null; }
ctr_hello() { "$1" run --rm --net-host "$2" "hello-$RANDOM"; }

# Names of Docker Hub, ECR and GAR, as the ZenML charts and docs write them. The bundle brought the ECR names; the
# images' names at GAR are declared the same by the default publish rules.
pulls_by_unmodified_names_and_runs() {
  ctr_pull "$1" $CLIENT
  expect "zenml:0.93.2 is a stand-in" ctr_hello "$1" $CLIENT
  ctr_pull "$1" $API
  expect "zenml-pro-api:0.13.2 is a stand-in" ctr_hello "$1" $API
  ctr_pull "$1" $GAR/zenml-pro-dashboard:0.13.2
  expect "zenml-pro-dashboard:0.13.2 is a stand-in" ctr_hello "$1" $GAR/zenml-pro-dashboard:0.13.2
  ctr_pull "$1" $SERVER
  expect "zenml-pro-server:0.93.2 is a stand-in" ctr_hello "$1" $SERVER
}
test_containerd_1_6_pulls_by_unmodified_names_and_runs() { pulls_by_unmodified_names_and_runs ctr16; }
test_containerd_1_7_pulls_by_unmodified_names_and_runs() { pulls_by_unmodified_names_and_runs ctr17; }

# What was pushed below the path prefix of an upstream answers to the upstream's own name.
pulls_by_upstream_name_what_was_pushed_by_prefix() {
  local image
  image=$GAR/$(fresh_name gar):v1
  oci_archive "$image" "$WORK/gar.tar"
  skopeo copy --quiet "oci-archive:$WORK/gar.tar" "docker://$PLAIN/$image"
  ctr_pull "$1" "$image"
  expect "$image" ctr_hello "$1" "$image"
}
test_containerd_1_6_pulls_by_upstream_name_what_was_pushed_by_prefix() {
  pulls_by_upstream_name_what_was_pushed_by_prefix ctr16
}
test_containerd_1_7_pulls_by_upstream_name_what_was_pushed_by_prefix() {
  pulls_by_upstream_name_what_was_pushed_by_prefix ctr17
}

# $1 pushes, $2 pulls what came of it.
pushes_what_another_pulls_and_runs() {
  local image
  image=$PLAIN/$(fresh_name ctr):v1
  oci_archive "$image" "$WORK/push.tar" "$image"
  "$1" images import "$WORK/push.tar" > /dev/null
  "$1" images push --hosts-dir /etc/containerd/certs.d "$image" > /dev/null
  ctr_pull "$2" "$image"
  expect "$image" ctr_hello "$2" "$image"
}
test_containerd_1_6_pushes_what_1_7_pulls_and_runs() { pushes_what_another_pulls_and_runs ctr16 ctr17; }
test_containerd_1_7_pushes_what_1_6_pulls_and_runs() { pushes_what_another_pulls_and_runs ctr17 ctr16; }

pulls_over_tls_and_runs() {
  ctr_pull "$1" $SECURE/zenml/zenml-pro-dashboard:0.13.2
  expect "zenml-pro-dashboard:0.13.2 is a stand-in" ctr_hello "$1" $SECURE/zenml/zenml-pro-dashboard:0.13.2
}
test_containerd_1_6_pulls_over_tls_and_runs() { pulls_over_tls_and_runs ctr16; }
test_containerd_1_7_pulls_over_tls_and_runs() { pulls_over_tls_and_runs ctr17; }

# byte NUMBER: that byte.
byte() { printf "\\x$(printf %x "$1")"; }

# kubelet_pull SOCKET IMAGE: runtime.v1.ImageService/PullImage over gRPC. The message is PullImageRequest{image:
# ImageSpec{image: IMAGE}}, each a field 1 with its length in one byte (names here are shorter than 126 bytes).
kubelet_pull() {
  local socket=$1 image=$2 length=${#2}
  { printf '\0\0\0\0'; byte $((length + 4)); printf '\x0a'; byte $((length + 2)); printf '\x0a'; byte "$length"
    printf '%s' "$image"; } > "$WORK/request"
  curl --silent --show-error --http2-prior-knowledge --unix-socket "$socket" --include \
    --header 'content-type: application/grpc' --header 'te: trailers' --data-binary "@$WORK/request" \
    http://localhost/runtime.v1.ImageService/PullImage | tr -d '\0'
}
test_kubelet_call_to_containerd_1_6_pulls_by_unmodified_name() {
  expect "grpc-status: 0" kubelet_pull /run/containerd/containerd.sock $SERVER
  expect "sha256:" kubelet_pull /run/containerd/containerd.sock $CLIENT
}
test_kubelet_call_to_containerd_1_7_pulls_by_unmodified_name() {
  expect "grpc-status: 0" kubelet_pull "$TRIXIE/run/containerd/containerd.sock" $SERVER
  expect "sha256:" kubelet_pull "$TRIXIE/run/containerd/containerd.sock" $CLIENT
}
