# Docker 20 and 26, and 26 with its images in containerd, with `registry-mirrors` for the names of Docker Hub.

docker_hello() { "$1" run --rm --network none "$2"; }

pulls_a_hub_name_through_the_mirror_and_runs() {
  "$1" pull --quiet zenmldocker/zenml:0.93.2
  expect "zenml:0.93.2 is a stand-in" docker_hello "$1" zenmldocker/zenml:0.93.2
}
test_docker_20_pulls_a_hub_name_through_the_mirror_and_runs() { pulls_a_hub_name_through_the_mirror_and_runs docker20; }
test_docker_26_pulls_a_hub_name_through_the_mirror_and_runs() { pulls_a_hub_name_through_the_mirror_and_runs docker26; }
test_docker_26_over_containerd_pulls_a_hub_name_through_the_mirror_and_runs() {
  pulls_a_hub_name_through_the_mirror_and_runs docker26_store
}

# dockerd has mirrors for Docker Hub only; ECR's names are reached by path prefix or by internal name.
pulls_by_prefix_and_by_internal_name_and_runs() {
  "$1" pull --quiet $PLAIN/$API
  expect "zenml-pro-api:0.13.2 is a stand-in" docker_hello "$1" $PLAIN/$API
  "$1" pull --quiet $PLAIN/zenml/zenml-pro-server:0.93.2
  expect "zenml-pro-server:0.93.2 is a stand-in" docker_hello "$1" $PLAIN/zenml/zenml-pro-server:0.93.2
}
test_docker_20_pulls_by_prefix_and_by_internal_name_and_runs() { pulls_by_prefix_and_by_internal_name_and_runs docker20; }
test_docker_26_pulls_by_prefix_and_by_internal_name_and_runs() { pulls_by_prefix_and_by_internal_name_and_runs docker26; }
test_docker_26_over_containerd_pulls_by_prefix_and_by_internal_name_and_runs() {
  pulls_by_prefix_and_by_internal_name_and_runs docker26_store
}

# $1 pushes an image of its own making to registry $3, $2 pulls and runs it.
pushes_what_another_pulls_and_runs_from() {
  local image
  image=$3/$(fresh_name docker):v1
  rootfs "$image" | "$1" import --change 'ENTRYPOINT ["/hello"]' - "$image"
  "$1" push "$image"
  "$2" pull --quiet "$image"
  expect "$image" docker_hello "$2" "$image"
}
test_docker_20_pushes_what_26_pulls_and_runs() { pushes_what_another_pulls_and_runs_from docker20 docker26 $PLAIN; }
test_docker_26_pushes_what_20_pulls_and_runs() { pushes_what_another_pulls_and_runs_from docker26 docker20 $PLAIN; }
test_docker_26_over_containerd_pushes_what_20_pulls_and_runs() {
  pushes_what_another_pulls_and_runs_from docker26_store docker20 $PLAIN
}
test_docker_20_pushes_over_tls_what_26_pulls_and_runs() { pushes_what_another_pulls_and_runs_from docker20 docker26 $SECURE; }
test_docker_26_pushes_over_tls_what_20_pulls_and_runs() { pushes_what_another_pulls_and_runs_from docker26 docker20 $SECURE; }

# The workflow of the ZenML docs: load the archive, tag it, push it, here beside what the ingest brought. The layers
# are in the registry already, so this is also a push whose blobs are all found there.
pushes_a_loaded_bundle_image_again() {
  "$1" load --quiet < "$BUNDLE/images/zenml-client.tar"
  "$1" tag zenmldocker/zenml:0.93.2 "$PLAIN/zenml/zenml:$2"
  "$1" push "$PLAIN/zenml/zenml:$2"
  expect "$2" skopeo list-tags docker://$PLAIN/zenml/zenml
}
test_docker_20_pushes_a_loaded_bundle_image_again() { pushes_a_loaded_bundle_image_again docker20 by-docker-20; }
test_docker_26_pushes_a_loaded_bundle_image_again() { pushes_a_loaded_bundle_image_again docker26 by-docker-26; }
