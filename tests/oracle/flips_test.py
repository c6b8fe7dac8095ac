"""What tokens that change experts add to a price, against models of which one unit is encoded.

    flips_test.py STRATA

`strata quantize -b` of a mixture of experts with random weights tries units alone, as lanes beside the source. Here each of
some of them is written by `strata quantize` in that one format, transformers makes the logits of the source, `strata logits`
those of the output as it is served, and numpy the divergence over the same windows. Less the price of the unit, which is for
the same windows, that is its jump in prices.json.
"""

import json
import os
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

import make_tiny_models
import numpy_decoder
from starts import run_program

ROWS, COLUMNS = 24, 32
FIRST = "model.layers.0.*"  # with it there would be so many units that they share lanes
failures = []


def check(holds, text):
    print(f"{'ok' if holds else 'FAILED'}: {text}", flush=True)
    if not holds:
        failures.append(text)


def strata(*arguments):
    done = run_program([sys.argv[1], *arguments, "-q"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"strata {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
    return done.stderr


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager")
    return model.requires_grad_(False).eval()


def logs_of(model, ids):
    return model(torch.from_numpy(ids), use_cache=False).logits.log_softmax(-1)


def divergence(p, q):
    return float((p.exp() * (p - q)).sum(-1).mean())


def decoded(output):
    """Weights of an output by module."""
    tensors = numpy_decoder.read_checkpoint(output)
    with open(os.path.join(output, "config.json"), encoding="utf-8") as file:
        scheme = next(iter(json.load(file)["quantization_config"]["config_groups"].values()))
    modules = [name.rsplit(".", 1)[0] for name in tensors if name.endswith(".weight_scale")]
    return {module: torch.from_numpy(numpy_decoder.decode_module(tensors, module, scheme)).double() for module in modules}


def set_weight(model, module, weight):
    """transformers holds the experts of a layer in two tensors, gate and up side by side."""
    if ".experts." not in module:
        dict(model.named_modules())[module].weight.copy_(weight)
        return
    place, expert, leaf = module.rsplit(".", 2)
    experts = dict(model.named_modules())[place]
    if leaf == "down_proj":
        experts.down_proj[int(expert)].copy_(weight)
        return
    rows = weight.shape[0]
    first = 0 if leaf == "gate_proj" else rows
    experts.gate_up_proj[int(expert)][first:first + rows].copy_(weight)


def members_of(unit, modules):
    """The Linears of a unit that is named by its first one."""
    base, leaf = unit.rsplit(".", 1)
    if ".experts." in unit:
        return [module for module in modules if module.startswith(unit.split(".experts.")[0] + ".experts.")]
    return {"q_proj": [f"{base}.{x}_proj" for x in "qkv"], "gate_proj": [f"{base}.{x}_proj" for x in ("gate", "up")]}.get(leaf, [unit])


def jumps_of(work, low):
    """By unit: KL of it alone, which is price and jump, where the jump is seen."""
    with open(os.path.join(work, "prices.json"), encoding="utf-8") as file:
        units = json.load(file)["units"]
    found = {}
    for unit in units:
        cost = next(option["cost"] for option in unit["options"] if option["format"] == low)
        if "jump" in unit and not unit["jump"]["pooled"]:
            check(unit["jump"]["format"] == low and unit["jump"]["together"] == 1, f"{unit['unit']}: alone, in {low}")
            found[unit["unit"]] = cost + unit["jump"]["nats"]
    return [unit["unit"] for unit in units if "jump" in unit], found


def check_weights(source, calibration, ids, place):
    """Formats that leave inputs alone, by transformers."""
    model, changed = load(source), load(source)
    output, everywhere = os.path.join(place, "weights"), os.path.join(place, "everywhere")
    strata("quantize", source, "-o", output, "-b", "8", "--formats", "NVFP4A16,BF16", "--probes", "4", "--max-source-ppl", "1e9",
           "--ignore", FIRST, "--allow-unservable", *calibration)
    strata("quantize", source, "-o", everywhere, "--scheme", "NVFP4A16", "--allow-unservable", *calibration)
    weights = decoded(everywhere)
    tried, alone = jumps_of(output + ".work", "NVFP4A16")
    check(len(tried) == 5 and "model.layers.2.mlp.experts.0.gate_proj" not in tried, f"units with a router behind them: {tried}")
    check(len(alone) >= 3, f"{len(alone)} of them are seen")
    p, state = logs_of(model, ids), {name: value.clone() for name, value in model.state_dict().items()}
    for unit, found in alone.items():
        changed.load_state_dict(state)
        for module in members_of(unit, weights):
            set_weight(changed, module, weights[module])
        expected = divergence(p, logs_of(changed, ids))
        check(abs(found / expected - 1) < 1e-3, f"{unit}: KL {found:.6e}, by transformers {expected:.6e}")


def check_served(source, data, calibration, ids, place):
    """A format that quantizes inputs too, by what `strata logits` serves."""
    output = os.path.join(place, "served")
    strata("quantize", source, "-o", output, "-b", "8", "--formats", "NVFP4,BF16", "--probes", "4", "--max-source-ppl", "1e9",
           "--ignore", FIRST, "--allow-unservable", *calibration)
    _, alone = jumps_of(output + ".work", "NVFP4")
    p = logs_of(load(source), ids)
    attention = [unit for unit in alone if ".self_attn." in unit]
    check(len(attention) >= 2, f"{len(attention)} units of attention are seen")
    for unit in attention:
        single, logits = os.path.join(place, unit), os.path.join(place, unit + ".safetensors")
        overrides = [word for module in members_of(unit, []) for word in ("--override", f"{module}=NVFP4")]
        strata("quantize", source, "-o", single, "--scheme", "KEEP", *overrides, "--allow-unservable", *calibration)
        strata("logits", single, "--tokens", data, "-o", logits, "--activations", "served")
        q = torch.from_numpy(load_file(logits)["logits"]).double().log_softmax(-1)
        expected = divergence(p, q)
        check(abs(alone[unit] / expected - 1) < 1e-3, f"{unit} served: KL {alone[unit]:.6e}, of its output {expected:.6e}")


def main():
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        source, data = os.path.join(place, "moe"), os.path.join(place, "ids.safetensors")
        make_tiny_models.write(source, make_tiny_models.CASES["qwen3-moe"])
        ids = np.random.default_rng(3).integers(0, 128, (ROWS, COLUMNS))
        save_file({"input_ids": ids.astype(np.int64)}, data)
        calibration = ["--dataset", data, "--nsamples", str(ROWS), "--seqlen", str(COLUMNS)]
        check_weights(source, calibration, ids, place)
        check_served(source, data, calibration, ids, place)


main()
sys.exit(1 if failures else 0)
