#!/usr/bin/env bash
# nightly.sh: what takes too long for every change. The tests under ThreadSanitizer, five minutes of each fuzz
# target, then every script of tests/nightly (such as the mutations, each of which must make a test fail).
# Exit code 1 when one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

scripts/setup.sh --vllm || exit 1
scripts/build.sh release all || exit 1

failed=()
scripts/test.sh --preset tsan || failed+=("tsan")
scripts/fuzz.sh --seconds 300 || failed+=("fuzz")

for script in tests/nightly/*; do
  [ -x "$script" ] || continue
  echo "nightly: $script"
  "$script" || failed+=("$script")
done
[ ${#failed[@]} = 0 ] || { printf 'nightly: failed: %s\n' "${failed[*]}" >&2; exit 1; }
echo "nightly: all passed"
