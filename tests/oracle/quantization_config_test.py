"""The quantization_config that the program writes, loaded by transformers.

Tiny Qwen3 and Qwen3-MoE checkpoints with random weights, every scheme and mixes of them by layer and projection:
no key is missing, unexpected or initialised anew, and every weight equals the numpy decoder's, rounded to bfloat16.
compressed-tensors' own matcher must give every Linear the format that it was written in, and its strict schema take
the config, for every number format of the program.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.utils.match import match_targets
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, Qwen3Config, Qwen3MoeConfig
from transformers.utils import logging

import numpy_decoder

PROBE = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "tests", "format_probe")
FUSED = {"q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj", "gate_proj": "gate_up_proj", "up_proj": "gate_up_proj"}
MEMBERS = {"qkv_proj": "q_proj,k_proj,v_proj", "gate_up_proj": "gate_proj,up_proj"}
COMMON = dict(vocab_size=256, hidden_size=128, num_attention_heads=4, num_key_value_heads=2, head_dim=32,
              max_position_embeddings=64)


def dense_config(tied):
    return Qwen3Config(**COMMON, intermediate_size=256, num_hidden_layers=3, tie_word_embeddings=tied)


def moe_config(_tied):
    return Qwen3MoeConfig(**COMMON, intermediate_size=256, moe_intermediate_size=128, num_hidden_layers=3, num_experts=4,
                          num_experts_per_tok=2, mlp_only_layers=[0], tie_word_embeddings=False)


def linears_of(tensors):
    names = [name.removesuffix(".weight") for name, tensor in tensors.items() if name.endswith(".weight")]
    return sorted(n for n in names if tensors[n + ".weight"].ndim == 2 and "embed" not in n)


def encoded(folder, name, modules):
    source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
    save_file(modules, source)
    subprocess.run([PROBE, "encode", name, source, result], check=True)
    return {k: v for k, v in load_file(result).items() if not k.endswith(".decoded")}


def write_output(source, output, scheme_of):
    """What `strata quantize` would write, by format_probe: all tensors of the source, Linears encoded."""
    os.makedirs(output)
    tensors = load_file(os.path.join(source, "model.safetensors"))
    linears = linears_of(tensors)
    schemes = {linear: scheme_of(linear) for linear in linears}
    written = {k: v for k, v in tensors.items() if k.removesuffix(".weight") not in schemes}
    with tempfile.TemporaryDirectory() as folder:
        for name in set(schemes.values()):
            modules = {}
            for linear in (n for n in linears if schemes[n] == name):
                modules[linear + ".weight"] = tensors[linear + ".weight"]
                modules[linear + ".input_amax"] = torch.tensor([3.0])
            written.update(encoded(folder, name, modules))
    write_config(source, output, schemes)
    save_file(written, os.path.join(output, "model.safetensors"), {"format": "pt"})
    return schemes


def write_config(source, output, schemes):
    lines = []
    for linear, name in schemes.items():
        fused = FUSED.get(linear.rsplit(".", 1)[-1], "")
        lines.append(f"{linear} {name} {fused} {MEMBERS.get(fused, '')}\n")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "linears"), "w") as file:
            file.writelines(lines)
        config = subprocess.run([PROBE, "config", os.path.join(source, "config.json"), os.path.join(folder, "linears")],
                                check=True, capture_output=True, text=True).stdout
    with open(os.path.join(output, "config.json"), "w") as file:
        file.write(config)


def group_of(config, module):
    """transformers' rule with compressed-tensors' own code: the group a module gets, None when it is ignored."""
    groups = config["quantization_config"]["config_groups"]
    linear = torch.nn.Linear(1, 1)
    if match_targets(module, linear, config["quantization_config"]["ignore"]):
        return None
    targets = {target: name for name, group in groups.items() for target in group["targets"]}
    matched = match_targets(module, linear, targets)
    assert len(matched) == 1, f"{module} matches {len(matched)} targets: {matched}"
    return groups[targets[matched[0]]]


def number_formats():
    """What the program knows: name -> its config group, None where a Linear stays dense."""
    listed = subprocess.run([sys.argv[1], "formats", "--json"], check=True, capture_output=True, text=True).stdout
    return {entry["name"]: entry["config_group"] for entry in json.loads(listed)["formats"]}


def unit_of(linear):
    """Linears that must share a format."""
    if ".experts." in linear:
        return linear.split(".experts.")[0]
    parent, _, leaf = linear.rpartition(".")
    return f"{parent}.{FUSED.get(leaf, leaf)}"


def check_every_format(source, output):
    """Uniform and random assignments of all formats: only the config is written."""
    bodies = number_formats()
    linears = linears_of(load_file(os.path.join(source, "model.safetensors")))
    units = sorted({unit_of(linear) for linear in linears})
    os.makedirs(output)
    for seed in range(len(bodies) + 20):
        choice = random.Random(seed)
        names = sorted(bodies)
        chosen = {unit: names[seed] if seed < len(bodies) else choice.choice(names) for unit in units}
        schemes = {linear: chosen[unit_of(linear)] for linear in linears}
        if all(bodies[name] is None for name in schemes.values()):
            continue
        write_config(source, output, schemes)
        with open(os.path.join(output, "config.json")) as file:
            config = json.load(file)
        if "MXFP6_E3M2" not in schemes.values():  # research: their schema has no place for it
            QuantizationConfig.model_validate(config["quantization_config"])
        for module, name in schemes.items():
            group = group_of(config, module)
            body = group and {key: value for key, value in group.items() if key != "targets"}
            assert body == bodies[name], f"{module}: is {name} but matches {body}"
    return len(bodies)


def check_groups(output, schemes):
    with open(os.path.join(output, "config.json")) as file:
        config = json.load(file)
    names = subprocess.run([PROBE, "match", os.path.join(output, "config.json")], input="".join(s + "\n" for s in schemes),
                           check=True, capture_output=True, text=True).stdout.splitlines()
    ours = dict(line.split() for line in names)
    for module, name in schemes.items():
        dense = name in ("BF16", "KEEP")
        group = group_of(config, module)
        assert (group is None) == dense, f"{module}: {name} but group {group}"
        assert ours[module] == ("-" if dense else name), f"{module}: written as {name}, read as {ours[module]}"


def expected_weights(output, schemes):
    """By the names of the transformers 5 classes: experts stacked, gate above up."""
    tensors = numpy_decoder.read_checkpoint(output)
    decoded = {m: numpy_decoder.round_to_bf16(numpy_decoder.decode_module(tensors, m, s)) for m, s in schemes.items()}
    weights, experts = {}, {}
    for module, values in decoded.items():
        if ".experts." not in module:
            weights[module + ".weight"] = values
            continue
        block, rest = module.split(".experts.")
        expert, projection = rest.split(".")
        experts.setdefault(block + ".experts", {})[int(expert), projection] = values
    for block, parts in experts.items():
        count = max(expert for expert, _ in parts) + 1
        gate_up = [np.concatenate((parts[e, "gate_proj"], parts[e, "up_proj"])) for e in range(count)]
        weights[block + ".gate_up_proj"] = np.stack(gate_up)
        weights[block + ".down_proj"] = np.stack([parts[e, "down_proj"] for e in range(count)])
    return weights


def load_and_compare(output, schemes):
    # A model without any quantized Linear has no quantization_config to pass one for.
    extra = {} if set(schemes.values()) <= {"BF16", "KEEP"} else {"quantization_config": CompressedTensorsConfig(dequantize=True)}
    model, info = AutoModelForCausalLM.from_pretrained(output, dtype=torch.bfloat16, output_loading_info=True, **extra)
    for kind, keys in info.items():
        assert not keys, f"{output}: {kind}: {sorted(map(str, keys))[:5]}"
    loaded = dict(model.named_parameters(remove_duplicate=False))
    for name, expected in expected_weights(output, schemes).items():
        values = loaded[name].detach().float()
        assert torch.equal(values, torch.from_numpy(expected)), f"{name}: differs from the numpy decoder"
    with torch.no_grad():
        logits = model(torch.arange(16).unsqueeze(0)).logits
    assert torch.isfinite(logits).all()


def kept(linear):
    return linear.endswith("lm_head") or linear.endswith("mlp.gate")


def uniform(name):
    return lambda linear: "KEEP" if kept(linear) else name


def by_kind(linear):
    if kept(linear):
        return "KEEP"
    return "FP8_DYNAMIC" if "self_attn" in linear else "W4A16"


def by_layer(linear):
    if kept(linear) or "layers.1.self_attn" in linear:
        return "BF16"
    if "layers.2" in linear:
        return "NVFP4" if "self_attn" in linear else "W4A16"
    return "FP8_DYNAMIC" if "o_proj" in linear or "down_proj" in linear else "NVFP4A16"


def quantized_head(linear):
    return "FP8_DYNAMIC" if linear == "lm_head" else "W4A16"


def main():
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(0)
    # Blocks of 128 x 128 need more than the 128 columns here.
    dense = [uniform(n) for n in numpy_decoder.SCHEMES if n != "FP8_BLOCK"] + [by_kind, by_layer]
    # NVFP4 experts lose their global scales in transformers, and it takes one scheme for all experts.
    cases = [("dense", dense_config(False), dense + [quantized_head]), ("tied", dense_config(True), [by_kind, dense[0]]),
             ("moe", moe_config(False), [uniform("W4A16"), uniform("FP8_DYNAMIC"), by_kind])]
    count = 0
    for name, config, rules in cases:
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "source")
            AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(source)
            formats = check_every_format(source, os.path.join(folder, "configs"))
            for i, rule in enumerate(rules):
                output = os.path.join(folder, f"{name}-{i}")
                schemes = write_output(source, output, rule)
                if set(schemes.values()) - {"BF16", "KEEP"}:
                    check_groups(output, schemes)
                load_and_compare(output, schemes)
                count += 1
    print(f"{formats} formats: every Linear matches its group in random mixes")
    print(f"{count} checkpoints load in transformers with every key and every weight")


if __name__ == "__main__":
    main()
