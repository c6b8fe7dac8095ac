"""Prices of formats against the Fisher form of the model itself.

    price_test.py STRATA

For every unit and format of a tiny dense model, the KL form is computed without cotangents: the unit's weights move by a
small part of what the encoding changes (decoded by numpy from an output in that one format), torch gives the change of the
logits in float64, and 1/2 of its variance under p, per token, is the price. `strata quantize -b` must find the same by
sampling: each within what its number of samples allows, and all together within a few percent. Then KL(source || output)
of whole assignments, by transformers, must be what was predicted. The perplexity that the run tells of its source is that of
transformers, on a trained model too where ../shared/fixtures has one.
"""

import csv
import json
import os
import re
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import make_tiny_models
import numpy_decoder
from starts import run_program

HERE = os.path.dirname(os.path.abspath(__file__))
TRAINED = os.path.join(HERE, "..", "..", "..", "shared", "fixtures", "models", "qwen3-dense")
TEXT = os.path.join(HERE, "..", "..", "..", "shared", "fixtures", "text", "misc", "tinystories_slice.txt")
FORMATS = ("NVFP4A16", "W8A16_CHANNEL")
ROWS, COLUMNS, PROBES = 32, 24, 32
failures = []


def check(holds, text):
    print(f"{'ok' if holds else 'FAILED'}: {text}", flush=True)
    if not holds:
        failures.append(text)


def strata(*arguments):
    """What it says of its decisions."""
    done = run_program([sys.argv[1], *arguments, "-q"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"strata {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
    return done.stderr


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager")
    return model.requires_grad_(False).eval()


def lift_logits(path):
    """Lets every hidden state move all logits alike, which changes no probability and must cost nothing."""
    tensors = load_file(path)
    tensors["lm_head.weight"] += np.random.default_rng(5).normal(size=tensors["lm_head.weight"].shape[1]).astype(np.float32)
    save_file(tensors, path, {"format": "pt"})


def logits_of(model, ids):
    return model(torch.from_numpy(ids), use_cache=False).logits


def decoded(output):
    """Weights of an output by module."""
    tensors = numpy_decoder.read_checkpoint(output)
    groups = json.load(open(os.path.join(output, "config.json"), encoding="utf-8"))["quantization_config"]["config_groups"]
    weights = {}
    for name in tensors:
        if name.endswith(".weight_scale"):
            module = name.rsplit(".", 1)[0]
            scheme = next(g for g in groups.values() if any(re.match(t[3:], module) for t in g["targets"] if t.startswith("re:")))
            weights[module] = torch.from_numpy(numpy_decoder.decode_module(tensors, module, scheme)).double()
    return weights


def members_of(unit):
    """The Linears of a unit that is named by its first one."""
    base, leaf = unit.rsplit(".", 1)
    return {"q_proj": [f"{base}.{x}_proj" for x in "qkv"], "gate_proj": [f"{base}.{x}_proj" for x in ("gate", "up")]}.get(leaf, [unit])


def form(model, ids, changes):
    """1/2 mean over tokens of the variance of what the changes do to the logits, to first order."""
    modules = dict(model.named_modules())
    moved = []
    step = 1e-4
    for sign in (1, -1):
        for module, change in changes.items():
            modules[module].weight += sign * step * change
        moved.append(logits_of(model, ids))
        for module, change in changes.items():
            modules[module].weight -= sign * step * change
    change = (moved[0] - moved[1]) / (2 * step)
    p = logits_of(model, ids).softmax(-1)
    return float(((p * change**2).sum(-1) - (p * change).sum(-1) ** 2).mean() / 2)


def kl(model, ids, changes):
    modules = dict(model.named_modules())
    p = logits_of(model, ids).log_softmax(-1)
    for module, change in changes.items():
        modules[module].weight += change
    q = logits_of(model, ids).log_softmax(-1)
    for module, change in changes.items():
        modules[module].weight -= change
    return float((p.exp() * (p - q)).sum(-1).mean())


def check_perplexity(said, model, ids, name):
    told = float(re.search(r"source: perplexity (\S+) on the calibration text", said)[1])
    logs = logits_of(model, ids)[:, :-1].log_softmax(-1)
    expected = float((-logs.gather(-1, torch.from_numpy(ids)[:, 1:, None]).mean()).exp())
    check(abs(told / expected - 1) < 1e-4, f"{name}: perplexity {told} of {expected:.6g}")


def check_trained(place):
    """A model that knows its text stays below the limit that holds without --max-source-ppl."""
    if not os.path.isdir(TRAINED):
        print("SKIPPED: the trained model, ../shared/fixtures is not there")
        return
    with open(TEXT, encoding="utf-8") as file:
        text = file.read()
    ids = np.array(AutoTokenizer.from_pretrained(TRAINED)(text)["input_ids"][:8 * 96]).reshape(8, 96)
    said = strata("quantize", TRAINED, "-o", os.path.join(place, "trained"), "-b", "6", "--formats", "NVFP4A16,BF16", "--probes", "1",
                  "--dataset", TEXT, "--nsamples", "8", "--seqlen", "96")
    check_perplexity(said, load(TRAINED), ids, "qwen3-dense")


def costs_of(work):
    with open(os.path.join(work, "costs.csv"), encoding="utf-8") as file:
        return list(csv.DictReader(file))


def main():
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        source = os.path.join(place, "llama")
        make_tiny_models.write(source, make_tiny_models.CASES["llama"])
        lift_logits(os.path.join(source, "model.safetensors"))
        model = load(source)
        ids = np.random.default_rng(3).integers(0, model.config.vocab_size, (ROWS, COLUMNS))
        data = os.path.join(place, "ids.safetensors")
        save_file({"input_ids": ids.astype(np.int64)}, data)
        calibration = ["--dataset", data, "--nsamples", str(ROWS), "--seqlen", str(COLUMNS)]
        changes = {}
        for scheme in FORMATS:
            output = os.path.join(place, scheme)
            strata("quantize", source, "-o", output, "--scheme", scheme, *calibration)
            modules = dict(model.named_modules())
            changes[scheme] = {m: w - modules[m].weight for m, w in decoded(output).items()}
        for bits in ("5", "9"):
            output = os.path.join(place, f"mixed-{bits}")
            said = strata("quantize", source, "-o", output, "-b", bits, "--formats", ",".join((*FORMATS, "KEEP")), "--probes",
                          str(PROBES), "--max-source-ppl", "1e9", *calibration)
            rows = costs_of(output + ".work")
            predicted = sum(float(row["cost"]) for row in rows if row["chosen"])
            chosen = {m: changes[row["format"]][m] for row in rows if row["chosen"] and row["format"] in changes
                      for m in members_of(row["unit"])}
            measured = kl(model, ids, chosen)
            check(abs(predicted / measured - 1) < 0.15, f"-b {bits}: predicted KL {predicted:.3e}, measured {measured:.3e}")
        check_perplexity(said, model, ids, "llama")
        check_trained(place)
        ratios = []
        for row in rows:
            if row["format"] not in changes:
                check(float(row["cost"]) == 0, f"{row['unit']} {row['format']}: the source itself costs nothing")
                continue
            exact = form(model, ids, {m: changes[row["format"]][m] for m in members_of(row["unit"])})
            ratios.append(float(row["cost"]) / exact)
            print(f"  {row['unit']:40} {row['format']:14} {float(row['cost']):.4e} of {exact:.4e}")
        deviation = (2 / (ROWS * PROBES)) ** 0.5  # of a mean of squares of so many normal numbers
        check(len(ratios) >= 12, f"{len(ratios)} prices")
        check(all(abs(r - 1) < 6 * deviation for r in ratios), f"each within {6 * deviation:.0%}: {min(ratios):.3f} to {max(ratios):.3f}")
        mean = float(np.mean(ratios))
        check(abs(mean - 1) < 3 * deviation, f"their mean within {3 * deviation:.0%}: {mean:.4f}")


main()
sys.exit(1 if failures else 0)
