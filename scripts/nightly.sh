#!/usr/bin/env bash
# nightly.sh: what takes too long for every change. The tests under ThreadSanitizer, a minute of each fuzz
# target (with clang++), then every script of tests/nightly (such as the mutations, each of which must make
# a test fail). Exit code 1 when one failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

scripts/setup.sh --oracle || exit 1
scripts/build.sh release all || exit 1

failed=()
scripts/test.sh --preset tsan || failed+=("tsan")
fuzz() {
  local target
  cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DSTRATA_FUZZ=ON -DSTRATA_BENCH=OFF \
    -DLibTorch_ROOT="$(sed -n 's/^LibTorch_ROOT:PATH=//p' build/release/CMakeCache.txt)" >build/fuzz.log 2>&1 || return 1
  for target in tests/fuzz/*_fuzz.cc; do
    target=$(basename "$target" .cc)
    echo "nightly: $target"
    cmake --build build/fuzz --target "$target" >>build/fuzz.log 2>&1 || return 1
    "build/fuzz/tests/fuzz/$target" -max_total_time=60 >>build/fuzz.log 2>&1 || return 1
  done
}
if command -v clang++ >/dev/null; then
  fuzz || { tail -n 30 build/fuzz.log >&2; failed+=("fuzz"); }
else
  echo "nightly: no clang++, so nothing is fuzzed"
fi

for script in tests/nightly/*; do
  [ -x "$script" ] || continue
  echo "nightly: $script"
  "$script" || failed+=("$script")
done
[ ${#failed[@]} = 0 ] || { printf 'nightly: failed: %s\n' "${failed[*]}" >&2; exit 1; }
echo "nightly: all passed"
