"""Scales of an FP8 cache against the keys and values that transformers caches on the same windows.

    kv_cache_test.py STRATA

`strata quantize --kv-cache fp8` writes k_scale and v_scale of every layer: the largest |key| (after its rotation) and
|value| over 448. config.json says so in kv_cache_scheme, and the output passes `strata verify` and can be evaluated.
`strata verify` takes a model whose cache alone is quantized too.
"""

import glob
import json
import os
import shutil
import sys
import tempfile

import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors, save_file
from transformers import AutoModelForCausalLM

import numpy_decoder
from starts import run_program

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
SHARED = os.path.join(ROOT, "..", "shared", "fixtures", "models")
DATA = ["--dataset", os.path.join(ROOT, "demo", "calibration.jsonl"), "--seqlen", "64", "--nsamples", "16"]


def run(strata, *args):
    done = run_program([strata, *args, "-q"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"strata {' '.join(args)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def cached_maxima(folder, ids):
    """Per layer the largest |key| and |value| that lies in the cache."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    most = {}
    with torch.no_grad():
        for row in torch.from_numpy(ids):
            cache = model(row[None], use_cache=True).past_key_values
            for layer, entry in enumerate(cache.layers):
                here = entry.keys.abs().max().item(), entry.values.abs().max().item()
                most[layer] = tuple(max(pair) for pair in zip(here, most.get(layer, (0, 0))))
    return most


def cache_alone(source, quantized, out):
    """The source with the cache scales of an output and a config that quantizes no Linear."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.safetensors", "*.index.json"))
    tensors = {}
    for folder, endings in ((source, ""), (quantized, ("k_scale", "v_scale"))):
        for path in glob.glob(os.path.join(folder, "*.safetensors")):
            tensors.update({name: tensor for name, tensor in load_tensors(path).items() if name.endswith(endings)})
    save_file(tensors, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    config = json.load(open(os.path.join(out, "config.json")))
    section = json.load(open(os.path.join(quantized, "config.json")))["quantization_config"]
    linears = ("_proj.weight", "lm_head.weight", ".gate.weight")
    dense = [name.removesuffix(".weight") for name in tensors if name.endswith(linears)]
    config["quantization_config"] = section | {"format": "dense", "config_groups": {}, "ignore": dense}
    json.dump(config, open(os.path.join(out, "config.json"), "w"))


def check_cache_alone(strata, source, quantized, out):
    """Right for verify; what it says of transformers is what transformers does."""
    cache_alone(source, quantized, out)
    facts = json.loads(run(strata, "verify", out, "--source", source, "--json"))["facts"]
    try:
        AutoModelForCausalLM.from_pretrained(out)
        loads = True
    except IndexError:  # of a list of groups
        loads = False
    print(f"{os.path.basename(out)}: transformers loads it: {loads}")
    assert facts["transformers"].startswith("yes" if loads else "no: config_groups is empty"), facts


def check_model(strata, folder, work):
    name = os.path.basename(os.path.normpath(folder))
    out, ids = os.path.join(work, name), os.path.join(work, name + ".ids.safetensors")
    run(strata, "quantize", folder, "-o", out, "--scheme", "FP8_DYNAMIC", "--kv-cache", "fp8", *DATA)
    run(strata, "tokenize", folder, *DATA, "-o", ids)
    expected = cached_maxima(folder, load_file(ids)["input_ids"])
    tensors = numpy_decoder.read_checkpoint(out)
    worst = 0.0
    for layer, pair in expected.items():
        for letter, most in zip("kv", pair):
            scale = tensors[f"model.layers.{layer}.self_attn.{letter}_scale"]
            assert scale.shape == (1,) and tensors.kinds[f"model.layers.{layer}.self_attn.{letter}_scale"] == "F32"
            worst = max(worst, abs(float(scale[0]) * 448 / most - 1))
    print(f"{name}: {2 * len(expected)} scales, worst relative difference {worst:.1e}")
    assert worst < 1e-5, "cache scales are not those of transformers' cache"
    assert sum(key.endswith(("k_scale", "v_scale")) for key in tensors) == 2 * len(expected)
    scheme = json.load(open(os.path.join(out, "config.json")))["quantization_config"]["kv_cache_scheme"]
    assert (scheme["num_bits"], scheme["type"], scheme["strategy"], scheme["dynamic"]) == (8, "float", "tensor", False), scheme
    run(strata, "verify", out, "--source", folder)
    check_cache_alone(strata, folder, out, out + ".cache")
    run(strata, "eval", out, "--against", folder, "--tokens", ids, "--window", "64", "--max-tokens", "256")


def main():
    strata = sys.argv[1]
    models = [os.path.join(ROOT, "demo", "model")]
    models += [m for m in (os.path.join(SHARED, n) for n in ("qwen3-dense", "tinystories-656k")) if os.path.isdir(m)]
    with tempfile.TemporaryDirectory() as work:
        for folder in models:
            check_model(strata, folder, work)


main()
