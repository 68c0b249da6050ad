# What a person sees first: the commands `airdock serve --bundle` prints work when pasted.

test_the_printed_pull_commands_work_when_pasted() {
  local command count=0
  mkdir -p "$WORK/pasted"
  # As on a machine that has one docker and one helm.
  ln -sf /usr/bin/docker "$WORK/pasted/docker"
  ln -sf "$AIRDOCK_TOOLS/bin/helm4" "$WORK/pasted/helm"
  cd "$WORK/pasted"
  while read -r command; do
    count=$((count + 1))
    expect "" env PATH="$WORK/pasted:$PATH" bash -c "$command < /dev/null"
  done < <(grep -E '^ *(docker|podman|ctr|helm) ' "$WORK/airdock.out")
  [ $count -ge 8 ] || fail "only $count commands were printed: $(cat "$WORK/airdock.out")"
}
