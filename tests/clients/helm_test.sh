# Helm 3 and 4 with charts as OCI artifacts, and with the same charts as a classic repository.

# The charts of the bundle: by exact version, with the signature checked, and by a range, which lists the tags.
pulls_and_verifies_the_charts() {
  local folder
  folder=$(mktemp -d "$WORK/charts.XXXXXX")
  "$1" pull --plain-http oci://$PLAIN/charts/zenml-pro --version 0.13.2 --destination "$folder" \
    --verify --keyring "$repository/examples/stand-in/chart-key.gpg"
  cmp "$folder/zenml-pro-0.13.2.tgz" "$BUNDLE/charts/zenml-pro-0.13.2.tgz"
  cmp "$folder/zenml-pro-0.13.2.tgz.prov" "$BUNDLE/charts/zenml-pro-0.13.2.tgz.prov"
  "$1" pull --plain-http oci://$PLAIN/charts/zenml --version '>=0.90.0 <1.0.0' --destination "$folder"
  cmp "$folder/zenml-0.93.2.tgz" "$BUNDLE/charts/zenml-0.93.2.tgz"
}
test_helm_3_pulls_and_verifies_the_charts() { pulls_and_verifies_the_charts helm3; }
test_helm_4_pulls_and_verifies_the_charts() { pulls_and_verifies_the_charts helm4; }

templates_from_the_registry() {
  expect "image: \"$PLAIN/zenml/zenml-pro-api:0.13.2\"" \
    "$1" template pro oci://$PLAIN/charts/zenml-pro --plain-http --version 0.13.2 \
    --set zenml.image.api.repository=$PLAIN/zenml/zenml-pro-api
}
test_helm_3_templates_from_the_registry() { templates_from_the_registry helm3; }
test_helm_4_templates_from_the_registry() { templates_from_the_registry helm4; }

# $1 pushes two versions, $2 finds the newest: a `+` in a version is a `_` in the tag.
pushes_charts_the_other_finds() {
  local name folder
  folder=$(mktemp -d "$WORK/charts.XXXXXX")
  name=$(basename "$(fresh_name chart)")
  "$1" create "$folder/$name" > /dev/null
  "$1" package "$folder/$name" --version 1.2.0 --destination "$folder" > /dev/null
  "$1" package "$folder/$name" --version 1.3.0+build.7 --destination "$folder" > /dev/null
  "$1" push --plain-http "$folder/$name-1.2.0.tgz" oci://$PLAIN/charts
  "$1" push --plain-http "$folder/$name-1.3.0+build.7.tgz" oci://$PLAIN/charts
  expect "version: 1.3.0+build.7" "$2" show chart --plain-http "oci://$PLAIN/charts/$name"
  expect "version: 1.2.0" "$2" show chart --plain-http "oci://$PLAIN/charts/$name" --version '~1.2'
}
test_helm_3_pushes_charts_that_helm_4_finds() { pushes_charts_the_other_finds helm3 helm4; }
test_helm_4_pushes_charts_that_helm_3_finds() { pushes_charts_the_other_finds helm4 helm3; }

pulls_over_tls() {
  expect "version: 0.13.2" "$1" show chart --ca-file "$WORK/ca.crt" oci://$SECURE/charts/zenml-pro
}
test_helm_3_pulls_over_tls() { pulls_over_tls helm3; }
test_helm_4_pulls_over_tls() { pulls_over_tls helm4; }

# The same charts as a classic repository, which needs no OCI support: install scripts still use one.
uses_the_classic_repository() {
  local helm=$1 folder
  folder=$(mktemp -d "$WORK/repository.XXXXXX")
  export HELM_CONFIG_HOME=$folder/config HELM_CACHE_HOME=$folder/cache HELM_DATA_HOME=$folder/data
  "$helm" repo add airdock http://$PLAIN/charts
  "$helm" repo update
  expect "airdock/zenml-pro" "$helm" search repo airdock
  expect "0.93.2" "$helm" search repo airdock/zenml --versions
  "$helm" pull airdock/zenml --version 0.93.2 --destination "$folder"
  cmp "$folder/zenml-0.93.2.tgz" "$BUNDLE/charts/zenml-0.93.2.tgz"
  "$helm" pull airdock/zenml-pro --version 0.13.2 --destination "$folder" --verify \
    --keyring "$repository/examples/stand-in/chart-key.gpg"
  cmp "$folder/zenml-pro-0.13.2.tgz.prov" "$BUNDLE/charts/zenml-pro-0.13.2.tgz.prov"
  expect "image: \"$PLAIN/zenml/zenml-pro-api:0.13.2\"" "$helm" template pro airdock/zenml-pro --version 0.13.2 \
    --set zenml.image.api.repository=$PLAIN/zenml/zenml-pro-api
  expect "kind: Deployment" "$helm" template zenml zenml --repo http://$PLAIN/charts
}
test_helm_3_uses_the_classic_repository() { uses_the_classic_repository helm3; }
test_helm_4_uses_the_classic_repository() { uses_the_classic_repository helm4; }

# A version with a plus, pushed while the index is in use: the next update has it.
finds_what_was_pushed_in_the_classic_repository() {
  local helm=$1 name folder
  folder=$(mktemp -d "$WORK/repository.XXXXXX")
  export HELM_CONFIG_HOME=$folder/config HELM_CACHE_HOME=$folder/cache HELM_DATA_HOME=$folder/data
  "$helm" repo add airdock http://$PLAIN/charts
  name=$(basename "$(fresh_name chart)")
  "$helm" create "$folder/$name" > /dev/null
  "$helm" package "$folder/$name" --version 1.3.0+build.7 --destination "$folder" > /dev/null
  "$helm" push --plain-http "$folder/$name-1.3.0+build.7.tgz" oci://$PLAIN/charts
  "$helm" repo update
  "$helm" pull "airdock/$name" --version 1.3.0+build.7 --destination "$folder/pulled" --untar
  expect "version: 1.3.0+build.7" cat "$folder/pulled/$name/Chart.yaml"
}
test_helm_3_finds_what_was_pushed_in_the_classic_repository() { finds_what_was_pushed_in_the_classic_repository helm3; }
test_helm_4_finds_what_was_pushed_in_the_classic_repository() { finds_what_was_pushed_in_the_classic_repository helm4; }

classic_repository_over_tls() {
  expect "version: 0.13.2" "$1" show chart --ca-file "$WORK/ca.crt" --repo https://$SECURE/charts zenml-pro
}
test_helm_3_uses_the_classic_repository_over_tls() { classic_repository_over_tls helm3; }
test_helm_4_uses_the_classic_repository_over_tls() { classic_repository_over_tls helm4; }
