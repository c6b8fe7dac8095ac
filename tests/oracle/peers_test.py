"""Quality beside the peers', measured by an independent evaluator.

    peers_test.py STRATA

Quantizes ../shared/fixtures/models/qwen3-dense with --method rtn and compares KL(source || output) on WikiText-2 test,
measured by ../shared/tools/eval_kl.py, with what llm-compressor reaches on the same tokens (docs/benchmarks.md): at most
3 % above. `strata eval` must agree with the evaluator. Skipped where ../shared is missing.
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.join(HERE, "..", "..", "..", "shared")
MODEL = os.path.join(SHARED, "fixtures", "models", "qwen3-dense")
WIKI = os.path.join(SHARED, "fixtures", "text", "wikitext-2")
TEST = os.path.join(WIKI, "wiki.test.tokens")
# llm-compressor 0.14 RTN: weights only, as served (None: activations untouched).
PEER = {"NVFP4": (0.00290, 0.01075), "W4A16": (0.00375, None), "FP8_DYNAMIC": (0.00021, 0.00082)}
# The peer's figures have two or three digits: half a unit of the last is added to the 3 %.
ROUNDING = {"NVFP4": (5e-6, 5e-6), "W4A16": (5e-6, None), "FP8_DYNAMIC": (5e-6, 5e-6)}
failures = []


def check(what, good, text):
    print(f"  {what:28} {text}  {'ok' if good else 'FAILED'}", flush=True)
    if not good:
        failures.append(what)


def close(a, b, limit):
    return abs(a - b) <= limit * abs(b)


def main():
    strata = sys.argv[1]
    if not os.path.isdir(MODEL):
        print("SKIPPED: needs ../shared/fixtures")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        for scheme, (weights_row, served_row) in PEER.items():
            print(scheme)
            out = os.path.join(work, scheme)
            data = ["--dataset", os.path.join(WIKI, "wiki.valid.tokens"), "--nsamples", "128", "--seqlen", "256"]
            subprocess.run([strata, "quantize", MODEL, "-o", out, "--scheme", scheme, "--method", "rtn", "-q"]
                           + (data if scheme == "NVFP4" else []), check=True, stdout=subprocess.DEVNULL)
            own = json.loads(subprocess.run(
                [strata, "eval", out, "--against", MODEL, "--dataset", TEST, "--window", "256", "--max-tokens", "16384",
                 "--runtime", "transformers", "--json", "-q"], check=True, capture_output=True, text=True).stdout)
            other = json.loads(subprocess.run(
                [sys.executable, os.path.join(SHARED, "tools", "eval_kl.py"), MODEL, out, TEST, "--tokens", "16384",
                 "--window", "256"], check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            weights, served = other["weights_only"], other["with_acts"]
            rounding = ROUNDING[scheme]
            check("KL weights, against the peer", weights["kl_mean"] <= weights_row * 1.03 + rounding[0],
                  f"{weights['kl_mean']:.6f} (peer {weights_row})")
            mine = own["weights_only"]
            check("KL weights, strata eval", close(mine["kl_mean"], weights["kl_mean"], 1e-3), f"{mine['kl_mean']:.6f}")
            check("perplexity, strata eval", close(mine["ppl"], weights["ppl_q"], 1e-4), f"{mine['ppl']:.4f}")
            check("top-1, strata eval", abs(mine["top1_agreement"] - weights["top1"]) < 2e-4, f"{mine['top1_agreement']:.4f}")
            if served_row is None:
                continue
            check("KL served, against the peer", served["kl_mean"] <= served_row * 1.03 + rounding[1],
                  f"{served['kl_mean']:.6f} (peer {served_row})")
            check("KL served, strata eval", close(own["kl_mean"], served["kl_mean"], 1e-2), f"{own['kl_mean']:.6f}")
    if failures:
        sys.exit("FAILED: " + ", ".join(failures))


if __name__ == "__main__":
    main()
