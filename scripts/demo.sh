#!/usr/bin/env bash
# demo.sh: sets up and builds Strata, chooses number formats for the demo model within a budget of bits, checks and measures
# the output, and says what came out, beside rules made by hand of the same bytes. The first run takes minutes, the next ones
# about half of one.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 0 ] || { sed -n '2,4s/^# //p' "$0"; [ "$1" = --help ] || [ "$1" = -h ] && exit 0 || exit 2; }

strata=build/release/strata
work=build/demo
out=$work/demo-moe-mixed

step() { printf '\n== %s\n' "$1"; }
run() { printf '$ %s\n' "$*" >&2; "$@"; }

step "set-up"
scripts/setup.sh
step "build"
scripts/build.sh release strata

# hand_made.py has the same menu and texts.
job=(-b 5.75 --formats NVFP4,MXFP8,BF16 --dataset demo/calibration.jsonl --nsamples 96 --seqlen 256 --heldout demo/heldout.jsonl)
mkdir -p "$work"
step "plan: what will be written and how often the model is read, before anything is"
run $strata plan demo/model "${job[@]}"
step "quantize: formats within 5.75 bits a parameter, priced on 96 windows of 256 tokens, measured on 64 others"
rm -rf $out.work # of an earlier demo: what it measured would be taken over
run $strata quantize demo/model -o $out "${job[@]}" --force
step "verify: index, offsets, fields and ranges; kept tensors byte for byte"
run $strata verify $out --source demo/model
step "by hand: three rules that spend the same bytes, measured on the same text"
python3 demo/hand_made.py $strata demo/model $out $work
step "result"
python3 demo/summary.py demo/model $out $out.work/measured.json $work/hand_made.json
