"""Quality beside the peers', measured by an independent evaluator.

    peers_test.py STRATA [--whole]

Quantizes ../shared/fixtures/models/qwen3-dense with --method rtn and measures KL(source || output) on WikiText-2 test with
../shared/tools/eval_kl.py: `strata eval` must agree with it. With --whole (tests/nightly) on the 16,384 tokens on which
llm-compressor was measured (docs/benchmarks.md), whose KL must not be exceeded by more than 3 %. Otherwise on 2,048 of them,
where that figure tells no more than that nothing is broken. Skipped where ../shared is missing.
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from starts import run_program

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.join(HERE, "..", "..", "..", "shared")
MODEL = os.path.join(SHARED, "fixtures", "models", "qwen3-dense")
WIKI = os.path.join(SHARED, "fixtures", "text", "wikitext-2")
TEST = os.path.join(WIKI, "wiki.test.tokens")
# llm-compressor 0.14 RTN: weights only, as served (None: activations untouched).
PEER = {"NVFP4": (0.00290, 0.01075), "W4A16": (0.00375, None), "FP8_DYNAMIC": (0.00021, 0.00082)}
# The peer's figures have two or three digits: half a unit of the last is added to the 3 %.
ROUNDING = {"NVFP4": (5e-6, 5e-6), "W4A16": (5e-6, None), "FP8_DYNAMIC": (5e-6, 5e-6)}
CUT = 1.1  # times the peer's figure, on fewer tokens than it was measured on
WINDOW = 256
failures = []


def check(what, good, text):
    print(f"  {what:28} {text}  {'ok' if good else 'FAILED'}", flush=True)
    if not good:
        failures.append(what)


def close(a, b, limit):
    return abs(a - b) <= limit * abs(b)


def evaluate(evaluator, source, folder, windows):
    """KL and the like of an output: with its weights alone, and (None where it takes inputs as they are) as served."""
    model, schemes, _, _ = evaluator.load_direct(folder)
    weights = evaluator.compare(source, model, windows)
    return weights, evaluator.compare(source, model, windows) if evaluator.attach_acts(model, schemes) else None


def check_scheme(strata, scheme, tokens, evaluate_it, whole, work):
    out = os.path.join(work, scheme)
    samples = "128" if whole else "16"
    data = ["--dataset", os.path.join(WIKI, "wiki.valid.tokens"), "--nsamples", samples, "--seqlen", "256"]
    run_program([strata, "quantize", MODEL, "-o", out, "--scheme", scheme, "--method", "rtn", "-q"]
                + (data if scheme == "NVFP4" else []), check=True, stdout=subprocess.DEVNULL)
    own = json.loads(run_program([strata, "eval", out, "--against", MODEL, "--dataset", TEST, "--window", str(WINDOW),
                                  "--max-tokens", str(tokens), "--runtime", "transformers", "--json", "-q"],
                                 check=True, stdout=subprocess.PIPE).stdout)
    mine = own["weights_only"]
    weights, served = evaluate_it(out)
    check("KL weights, strata eval", close(mine["kl_mean"], weights["kl_mean"], 1e-3), f"{mine['kl_mean']:.6f}")
    check("perplexity, strata eval", close(mine["ppl"], weights["ppl_q"], 1e-4), f"{mine['ppl']:.4f}")
    # One of the 2,048 tokens of a cut is more than 2e-4 of them.
    check("top-1, strata eval", abs(mine["top1_agreement"] - weights["top1"]) < max(2e-4, 1.5 / tokens), f"{mine['top1_agreement']:.4f}")
    if served is not None:
        check("KL served, strata eval", close(own["kl_mean"], served["kl_mean"], 1e-2), f"{own['kl_mean']:.6f}")
    for what, seen, peer, rounding in zip(("weights", "served"), (weights, served), PEER[scheme], ROUNDING[scheme]):
        if peer is not None:
            check(f"KL {what}, against the peer", seen["kl_mean"] <= peer * (1.03 if whole else CUT) + rounding,
                  f"{seen['kl_mean']:.6f} (peer {peer})")


def main():
    strata, whole = sys.argv[1], sys.argv[2:] == ["--whole"]
    if not os.path.isdir(MODEL):
        print("SKIPPED: needs ../shared/fixtures")
        sys.exit(77)
    sys.path.insert(0, os.path.join(SHARED, "tools"))
    import eval_kl
    transformers.utils.logging.disable_progress_bar()
    tokens = 16384 if whole else 2048
    source = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    windows = eval_kl.windows(AutoTokenizer.from_pretrained(MODEL), TEST, "all", tokens // WINDOW, WINDOW, extra=1)
    with tempfile.TemporaryDirectory() as work:
        for scheme in PEER:
            print(scheme)
            check_scheme(strata, scheme, tokens, lambda out: evaluate(eval_kl, source, out, windows), whole, work)
    if failures:
        sys.exit("FAILED: " + ", ".join(failures))


if __name__ == "__main__":
    main()
