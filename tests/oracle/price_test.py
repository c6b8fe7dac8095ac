"""Prices of formats against the Fisher form of the model itself.

    price_test.py STRATA

For every unit and format of a tiny dense model, the KL form is computed without cotangents: the unit's weights move by a
small part of what the encoding changes (decoded by numpy from an output in that one format), torch gives the change of the
logits in float64, and 1/2 of its variance under p, per token, is the price. `strata quantize -b` must find the same by
sampling: each within what its number of samples allows, and all together within a few percent. Then KL(source || output)
of whole assignments, by transformers, must be what was predicted, and on other text what the run says that it measured. The
perplexity that the run tells of its source is that of transformers, on a trained model too where ../shared/fixtures has one.
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


def traces_of(model, ids):
    """Of each Linear: mean over random directions of the output of the sum over tokens of |g|^2 |x|^2, by hooks and signs of our own."""
    inputs, sums = {}, {}

    def keep(name):
        def hook(_module, given, gave):
            inputs[name] = given[0].detach().square().sum(-1)
            gave.register_hook(lambda g: sums.__setitem__(name, sums.get(name, 0) + float((g.square().sum(-1) * inputs[name]).sum())))
        return hook

    hooks = [m.register_forward_hook(keep(n)) for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    random = torch.Generator().manual_seed(11)
    with torch.enable_grad():
        embedded = model.get_input_embeddings()(torch.from_numpy(ids)).requires_grad_()
        logits = model(inputs_embeds=embedded, use_cache=False).logits
        p = logits.detach().softmax(-1)
        for _ in range(PROBES):
            z = torch.randint(0, 2, p.shape, generator=random).double() * 2 - 1
            g = p.sqrt() * z - p * (p.sqrt() * z).sum(-1, keepdim=True)
            torch.autograd.grad((logits * g).sum(), embedded, retain_graph=True)
    for hook in hooks:
        hook.remove()
    return {name: value / PROBES for name, value in sums.items()}


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


def check_measured(work, expected):
    with open(os.path.join(work, "measured.json"), encoding="utf-8") as file:
        found = {one["name"]: one["kl_mean"] for one in json.load(file)["candidates"]}
    for name, value in expected.items():
        check(abs(found[name] / value - 1) < 1e-3, f"{name}: measured {found[name]:.5e}, by transformers {value:.5e}")
    check(found["inputs only"] < 1e-9, "formats that leave inputs alone have no floor")


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
        held = np.random.default_rng(4).integers(0, model.config.vocab_size, (ROWS, COLUMNS))
        held_out = os.path.join(place, "held.safetensors")
        save_file({"input_ids": held.astype(np.int64)}, held_out)
        changes = {}
        for scheme in FORMATS:
            output = os.path.join(place, scheme)
            strata("quantize", source, "-o", output, "--scheme", scheme, *calibration)
            modules = dict(model.named_modules())
            changes[scheme] = {m: w - modules[m].weight for m, w in decoded(output).items()}
        for bits in ("5", "9"):
            output = os.path.join(place, f"mixed-{bits}")
            said = strata("quantize", source, "-o", output, "-b", bits, "--formats", ",".join((*FORMATS, "KEEP")), "--probes",
                          str(PROBES), "--heldout", held_out, "--allow-tail", "--max-source-ppl", "1e9", *calibration)
            rows = costs_of(output + ".work")
            predicted = sum(float(row["cost"]) for row in rows if row["chosen"])
            chosen = {m: changes[row["format"]][m] for row in rows if row["chosen"] and row["format"] in changes
                      for m in members_of(row["unit"])}
            measured = kl(model, ids, chosen)
            check(abs(predicted / measured - 1) < 0.15, f"-b {bits}: predicted KL {predicted:.3e}, measured {measured:.3e}")
            # The last token of a row has no next one, and is not measured.
            check_measured(output + ".work", {name: kl(model, held[:, :-1], moved) for name, moved in (
                ("as served", chosen), ("weights only", chosen), (f"{FORMATS[0]} everywhere", changes[FORMATS[0]]),
                (f"{FORMATS[1]} everywhere", changes[FORMATS[1]]))})
        check_perplexity(said, model, ids, "llama")
        check_trained(place)
        ratios, trace_ratios = [], []
        traces = traces_of(model, ids)
        for row in rows:
            if row["format"] not in changes:
                check(float(row["cost"]) == 0, f"{row['unit']} {row['format']}: the source itself costs nothing")
                continue
            exact = form(model, ids, {m: changes[row["format"]][m] for m in members_of(row["unit"])})
            ratios.append(float(row["cost"]) / exact)
            trace = sum(float(changes[row["format"]][m].square().mean()) * traces[m] for m in members_of(row["unit"])) / (2 * ids.size)
            trace_ratios.append(float(row["fisher_trace"]) / trace)
            print(f"  {row['unit']:40} {row['format']:14} {float(row['cost']):.4e} of {exact:.4e}")
        deviation = (2 / (ROWS * PROBES)) ** 0.5  # of a mean of squares of so many normal numbers
        check(len(ratios) >= 12, f"{len(ratios)} prices")
        check(all(abs(r - 1) < 6 * deviation for r in ratios), f"each within {6 * deviation:.0%}: {min(ratios):.3f} to {max(ratios):.3f}")
        spread = f"{min(trace_ratios):.3f} to {max(trace_ratios):.3f}"
        check(all(abs(r - 1) < 0.1 for r in trace_ratios), f"Fisher traces are those of signs of our own: {spread}")
        mean = float(np.mean(ratios))
        check(abs(mean - 1) < 3 * deviation, f"their mean within {3 * deviation:.0%}: {mean:.4f}")


main()
sys.exit(1 if failures else 0)
