#!/usr/bin/env bash
# test.sh [--oracle] [--vllm] [--preset release|dev|tsan] [-- CTEST_ARGUMENT...]
# Sets up and builds Strata and runs every test. Tests that need what is not there are skipped by name.
#   --oracle   also install the Python packages of the oracle tests (about 5 GB), so that those run
#   --vllm     the same, and vLLM's CPU build (1.4 GB)
#   --preset   dev: AddressSanitizer and UBSan, by clang; tsan: ThreadSanitizer; default release
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
setup=()
while [ $# -gt 0 ]; do
  case $1 in
    --oracle | --vllm) setup+=("$1") ;;
    --preset) preset=${2:?--preset needs release, dev or tsan}; shift ;;
    --) shift; break ;;
    -h | --help) sed -n '2,6s/^# //p' "$0"; exit ;;
    *) echo "test: unknown argument $1; see scripts/test.sh --help" >&2; exit 2 ;;
  esac
  shift
done
case $preset in release | dev | tsan) ;; *) echo "test: unknown preset $preset; there are release, dev and tsan" >&2; exit 2 ;; esac

[ "$preset" != dev ] || setup+=(--clang)
scripts/setup.sh "${setup[@]}"
scripts/build.sh "$preset" all

# An oracle test holds up to 2 GB: one test a core, each with 3 GiB.
memory=$(awk '/^MemAvailable/ {print int($2 / 3145728)}' /proc/meminfo)
jobs=$(nproc)
[ "$memory" -ge "$jobs" ] || jobs=$((memory > 0 ? memory : 1))

log=$PWD/build/$preset/test.log
echo "test $preset: $jobs at a time"
find "build/$preset" \( -name 'tsan_log.*' -o -name '*.junit.xml' \) -delete
passed=1
ctest --preset "$preset" --no-tests=error -j "$jobs" --output-junit test.xml "$@" >"$log" 2>&1 || passed=
[ -n "$passed" ] || grep -aEv ' Passed +[0-9.]+ sec$|[*]{3}Skipped|^ *Start +[0-9]+:' "$log" | tail -n 400
# Races do not fail the test that meets them: most are of oneTBB, which is not instrumented.
if [ "$preset" = tsan ]; then
  find "build/$preset" -name 'tsan_log.*' -exec python3 scripts/tsan_reports.py {} + || passed=
fi
python3 scripts/skipped_tests.py "build/$preset"
grep -aE '^Total Test time' "$log" || true
grep -aE '^[0-9]+% tests passed|^No tests were found' "$log"
[ -n "$passed" ] || { echo "test: failed; the whole output is in $log" >&2; exit 1; }
