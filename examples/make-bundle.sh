#!/usr/bin/env bash
# Makes examples/zenml-air-gapped-bundle: a stand-in for the bundle that ZenML Pro's documentation describes.
#
# The layout and the names are the documented ones; the content is not ZenML. Each image holds one small program of
# ours (stand-in/hello.c) and the text it prints; the charts are stand-in/charts. What reads the bundle meets the real
# thing all the same, because real tools write it: `docker save` of Docker 20 (folders with a layer.tar) for the control
# plane and of Docker 26 (an OCI layout beside a manifest.json) for the other two, and `helm package --sign`.
# Every time we write is fixed, so images and charts come out the same on each run; what still differs is the chart's
# signature and the time of two entries in the archives of Docker 26.
#
# Usage: examples/make-bundle.sh     (needs what tests/provision.sh installs, and root or sudo)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../tests/clients/world.sh"

PRO_VERSION=0.13.2        # control plane images and the zenml-pro chart
SERVER_VERSION=0.93.2     # workspace server and client images and the zenml chart
MADE=2026-11-01T00:00:00Z # no build date: the same input gives the same bytes
BUNDLE=$here/zenml-air-gapped-bundle
ECR=715803424590.dkr.ecr

# build NAME: the image as a docker archive in $WORK; two layers, of which all images share the program's.
build() {
  local name=$1 context=$WORK/context
  mkdir -p "$context"
  cp "$WORK/hello" "$context/hello"
  echo "$name is a stand-in made for Airdock; it is not ZenML" > "$context/image.txt"
  printf 'FROM scratch\nCOPY hello /hello\nCOPY image.txt /image.txt\nENTRYPOINT ["/hello"]\n' > "$context/Containerfile"
  buildah build --quiet --layers --timestamp "$(date -d $MADE +%s)" --tag "localhost/$name" "$context" > /dev/null
  buildah push --quiet "localhost/$name" "docker-archive:$WORK/${name%:*}.tar:localhost/$name"
}

# save DOCKER FILE NAME:VERSION UPSTREAM: loads the archive into that Docker under its upstream name and saves it.
save() {
  local docker=$1 file=$2 name=$3 upstream=$4
  build "$name"
  $docker load --quiet < "$WORK/${name%:*}.tar"
  $docker tag "localhost/$name" "$upstream"
  $docker save "$upstream" > "$BUNDLE/images/$file"
}

# A throw-away key signs the chart; its public half is kept beside the bundle so that the signature can be checked.
make_key() {
  export GNUPGHOME=$WORK/gnupg
  mkdir -m 700 -p "$GNUPGHOME"
  gpg --batch --quiet --passphrase '' --quick-generate-key 'Airdock stand-in <stand-in@airdock.test>' rsa2048 sign never
  gpg --batch --export-secret-keys > "$WORK/secret.gpg"
  gpg --batch --export > "$here/stand-in/chart-key.gpg"
}

# package NAME VERSION [HELM OPTION...]
package() {
  local name=$1 version=$2
  shift 2
  cp -r "$here/stand-in/charts/$name" "$WORK/"
  find "$WORK/$name" -exec touch -d $MADE {} +
  helm4 package "$WORK/$name" --version "$version" --app-version "$version" --destination "$BUNDLE/charts" "$@"
}

main() {
  rm -rf "$BUNDLE"
  mkdir -p "$BUNDLE/images" "$BUNDLE/charts"
  printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' > /etc/containers/policy.json
  compile_hello "$WORK/hello"
  start_containerds
  start_dockers

  save docker20 zenml-pro-api.tar zenml-pro-api:$PRO_VERSION $ECR.eu-west-1.amazonaws.com/zenml-pro-api:$PRO_VERSION
  save docker20 zenml-pro-dashboard.tar zenml-pro-dashboard:$PRO_VERSION \
    $ECR.eu-west-1.amazonaws.com/zenml-pro-dashboard:$PRO_VERSION
  save docker26 zenml-pro-server.tar zenml-pro-server:$SERVER_VERSION \
    $ECR.eu-central-1.amazonaws.com/zenml-pro-server:$SERVER_VERSION
  save docker26 zenml-client.tar zenml:$SERVER_VERSION zenmldocker/zenml:$SERVER_VERSION

  make_key
  package zenml-pro $PRO_VERSION --sign --key stand-in@airdock.test --keyring "$WORK/secret.gpg"
  package zenml $SERVER_VERSION

  cat > "$BUNDLE/manifest.txt" << END
ZenML Pro air-gapped bundle -- a STAND-IN made by examples/make-bundle.sh of Airdock; it holds no ZenML software

Date: ${MADE%T*}

Images:
  $ECR.eu-west-1.amazonaws.com/zenml-pro-api:$PRO_VERSION
  $ECR.eu-west-1.amazonaws.com/zenml-pro-dashboard:$PRO_VERSION
  $ECR.eu-central-1.amazonaws.com/zenml-pro-server:$SERVER_VERSION
  zenmldocker/zenml:$SERVER_VERSION

Helm charts:
  zenml-pro: $PRO_VERSION
  zenml: $SERVER_VERSION

Internal registry:
  127.0.0.1:5000/zenml/zenml-pro-api
  127.0.0.1:5000/zenml/zenml-pro-dashboard
  127.0.0.1:5000/zenml/zenml-pro-server
  127.0.0.1:5000/zenml/zenml
  oci://127.0.0.1:5000/charts/zenml-pro
  oci://127.0.0.1:5000/charts/zenml
END
  # Made as root (dockerd needs it), owned by the user who ran this.
  chown -R --reference="$here" "$BUNDLE" "$here/stand-in/chart-key.gpg"
  du -sh "$BUNDLE"
}

enter_world "$@"
main
