#!/usr/bin/env bash
# nightly.sh: what takes too long for every change. The tests under ThreadSanitizer, five minutes of each fuzz target, the
# lints of all sources, then every script of tests/nightly (such as the mutations, each of which must make a test fail).
# Says how long each took. Exit code 1 when one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

scripts/setup.sh --vllm || exit 1
scripts/build.sh release all || exit 1

failed=()
part() {
  local start=$SECONDS
  echo "nightly: $*"
  "$@" || failed+=("$*")
  echo "nightly: $* took $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
}

part scripts/test.sh --preset tsan
part scripts/fuzz.sh --seconds 300
part scripts/lint.sh --all
for script in tests/nightly/*; do
  [ ! -x "$script" ] || part "$script"
done
[ ${#failed[@]} = 0 ] || { printf 'nightly: failed: %s\n' "${failed[*]}" >&2; exit 1; }
echo "nightly: all passed"
