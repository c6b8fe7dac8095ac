#!/usr/bin/env bash
# demo.sh: sets up and builds Strata, quantizes the demo model to NVFP4, checks the output, measures it
# against its source and says what came out. The first run takes minutes, the next ones seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 0 ] || { sed -n '2,3s/^# //p' "$0"; [ "$1" = --help ] || [ "$1" = -h ] && exit 0 || exit 2; }

strata=build/release/strata
work=build/demo
out=$work/demo-moe-NVFP4

step() { printf '\n== %s\n' "$1"; }
run() { printf '$ %s\n' "$*" >&2; "$@"; }

step "set-up"
scripts/setup.sh
step "build"
scripts/build.sh release strata

job=(--scheme NVFP4 --dataset demo/calibration.jsonl --nsamples 128 --seqlen 256)
mkdir -p "$work"
step "plan: what will be written, before anything is read"
run $strata plan demo/model "${job[@]}"
step "quantize: 4 layers with 8 experts each, calibrated on 128 windows of 256 tokens"
run $strata quantize demo/model -o $out "${job[@]}" --force
step "verify: index, offsets, fields and ranges; kept tensors byte for byte"
run $strata verify $out --source demo/model
step "evaluate: KL(source || output) over 16384 held-out tokens"
run $strata eval $out --against demo/model --dataset demo/heldout.jsonl --window 256 --max-tokens 16384 --json >$work/eval.json
step "result"
$strata plan demo/model "${job[@]}" --json >$work/plan.json
python3 demo/summary.py demo/model $out $work/plan.json $work/eval.json
