# What goes in can be run: whatever an ingest of a bundle from a bug report calls "new", containerd and Docker pull, unpack and
# make a container of. They check each layer against the config, as no registry does. The bundles are the small ones of
# tests/fixtures/cases; each dialect as its own tool writes it, run by another, is in dialects_test.sh.

CASES=$repository/tests/fixtures/cases

# new_images FILE: `repository:tag` of the images that are new by an ingest of FILE and are for this machine.
new_images() {
  jq --raw-output 'select(.event == "finished") | .images[]
    | select(.state == "new" and (.platforms | index("linux/amd64"))) | .image' "$1"
}

# is_runnable CLIENT NAME: the client pulls and unpacks it, and makes a container of it.
is_runnable() {
  local container="case-$RANDOM$RANDOM"
  case $1 in
    ctr*)
      ctr_pull "$1" "$PLAIN/$2"
      "$1" containers create "$PLAIN/$2" "$container" /hello
      "$1" containers rm "$container"
      ;;
    *)
      "$1" pull --quiet "$PLAIN/$2"
      "$1" create --name "$container" --network none "$PLAIN/$2" /hello > /dev/null
      "$1" rm "$container" > /dev/null
      ;;
  esac
}

what_an_ingest_calls_new_is_run_by() {
  local file name report tried=0
  report=$(fresh_path)
  for file in "$CASES"/*; do
    # 65: a part of it, or all, was refused.
    ingest --json --on-conflict replace "$file" > "$report" || [ $? = 65 ]
    for name in $(new_images "$report"); do
      is_runnable "$1" "$name" || fail "$file: $1 does not run $name"
      tried=$((tried + 1))
    done
    # New again for the next client.
    for name in $(new_images "$report"); do
      "$AIRDOCK_BIN" rm --data "$WORK/data-airdock" "$name" > /dev/null
    done
  done
  [ $tried -gt 8 ] || fail "only $tried images were tried"
}
test_rule_2c_what_an_ingest_calls_new_is_run_by_containerd_1_7() { what_an_ingest_calls_new_is_run_by ctr17; }
test_rule_2c_what_an_ingest_calls_new_is_run_by_docker_26() { what_an_ingest_calls_new_is_run_by docker26; }

test_rule_2c_what_no_client_could_run_is_refused() {
  local file=$CASES/h2-layout-gzip-layers-reversed.tar.gz said
  said=$(ingest "$file" 2>&1) && fail "it went in: $said"
  [[ $said == *"in another order than the config"* ]] || fail "$said"
}
