#!/usr/bin/env bash
# fuzz.sh [--seconds N] [TARGET...]
# Feeds broken files to the parsers: builds the libFuzzer targets of tests/fuzz (preset dev: clang, ASan, UBSan) and
# runs each for N seconds (20), two at a time. TARGET: safetensors, config, ...; default all.
#   build/fuzz/corpus     inputs that reached new code; kept, so that the next run goes on from there
#   build/fuzz/findings   inputs that broke something; they are run first the next time
# Exit code 1 when something broke.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=20
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    -h | --help) sed -n '2,7s/^# //p' "$0"; exit ;;
    -*) echo "fuzz: unknown argument $1; see scripts/fuzz.sh --help" >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz: --seconds $seconds: expected a number from 1" >&2; exit 2; }
all=()
for file in tests/fuzz/*_fuzz.cc; do all+=("$(basename "$file" _fuzz.cc)"); done
[ ${#targets[@]} != 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [ -e "tests/fuzz/${target}_fuzz.cc" ] || { echo "fuzz: there is no target $target; there are ${all[*]}" >&2; exit 2; }
done

scripts/setup.sh --clang
scripts/build.sh dev "${targets[@]/%/_fuzz}"
programs=build/dev/tests/fuzz
folder=build/fuzz
mkdir -p $folder
rm -rf $folder/seeds
echo "fuzz: $(python3 tests/fuzz/make_seeds.py $folder/seeds), $seconds s a target"

export UBSAN_OPTIONS=print_stacktrace=1

# run TARGET: a parser of small files needs no 1.5 GB and no 10 s (the targets themselves allow 2 s of processor time).
run() {
  local name=${1}_fuzz log=$folder/$1.log corpus=$folder/corpus/$1 found=$folder/findings/$1 options=()
  mkdir -p "$corpus" "$found" "$folder/seeds/$1"
  [ ! -e "tests/fuzz/$1.dict" ] || options=("-dict=tests/fuzz/$1.dict")
  if "$programs/$name" "-max_total_time=$seconds" -timeout=10 -rss_limit_mb=1536 -malloc_limit_mb=512 -max_len=32768 \
    -print_final_stats=1 "-artifact_prefix=$found/" "${options[@]}" "$corpus" "$found" "$folder/seeds/$1" >"$log" 2>&1; then
    echo "  $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, no finding"
    return
  fi
  local input
  input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  {
    echo "  $1: a finding"
    grep -aE '^finding: |ERROR: |runtime error: |terminate called|what\(\)|SUMMARY: ' "$log" | cut -c 1-300 | head -n 5 || true
    echo "    reproduce: $programs/$name ${input:-(see the log)}"
    echo "    make it smaller: $programs/$name -minimize_crash=1 -runs=100000 -exact_artifact_path=$found/smaller ${input:-INPUT}"
    [ -z "$input" ] || [ "$(stat -c %s "$input")" -gt 2000 ] || echo "    the input in base64: $(base64 -w 0 "$input")"
    echo "    log: $log"
  } >&2
  return 1
}
export -f run
export seconds folder programs
printf '%s\n' "${targets[@]}" | xargs -P 2 -I '{}' bash -c 'run {}' || { echo "fuzz: something broke" >&2; exit 1; }
