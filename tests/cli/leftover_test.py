"""A quantization_config that nothing in the file bears out, and weights of tools that are not read.

Whoever merges, decompresses or trains a quantized model often saves 16-bit weights with the old config: those are read
as they are, and everybody says so. Weights that only another tool understands are refused with its name.
"""

import json
import os
import struct

from checkpoint import framed, write_ids, write_model
from program import check, check_error, finish, folder, strata

GROUP = {"targets": ["Linear"], "format": "pack-quantized", "input_activations": None, "output_activations": None,
         "weights": {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128}}

# What config.json says, and how the decision names it.
LEFTOVERS = [
    ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}},
     "quantization_config (quant_method bitsandbytes)"),
    ({"quantization_config": {"load_in_8bit": True}}, "quantization_config (quant_method bitsandbytes)"),
    ({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}, "quantization_config (quant_method gptq)"),
    ({"quantization_config": {"quant_method": "awq", "bits": 4, "version": "gemm"}}, "quantization_config (quant_method awq)"),
    ({"quantization_config": {"quant_method": "hqq"}}, "quantization_config (quant_method hqq)"),
    ({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}, "quantization_config (quant_method fp8)"),
    ({"quantization_config": {"quant_algo": "FP8"}}, "quantization_config (quant_method modelopt)"),
    ({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": GROUP},
                              "ignore": ["lm_head"]}}, "quantization_config (quant_method compressed-tensors)"),
    ({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
                              "config_groups": {"group_0": dict(GROUP, targets=["lm_head"])}}},
     "quantization_config (quant_method compressed-tensors)"),
    ({"quantization_config": {}}, "quantization_config (without a quant_method)"),
    ({"quantization": {"group_size": 64, "bits": 4}, "quantization_config": {"group_size": 64, "bits": 4}},
     "quantization_config (quant_method mlx)"),
    ({"quantization": {"group_size": 64, "bits": 4, "mode": "affine"}}, "quantization (quant_method mlx)"),
    ({"compression_config": {"quant_method": "awq"}}, "compression_config (quant_method awq)"),
]


def tool(model, config, parts):
    """The model's q_proj of layer 0 replaced by these tensors (suffix: dtype, shape), with this config."""
    path = os.path.join(model, "model.safetensors")
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    module = "model.layers.0.self_attn.q_proj"
    rest = {name: (entry["dtype"], entry["shape"]) for name, entry in header.items() if name != f"{module}.weight"}
    rest.update({f"{module}.{suffix}": part for suffix, part in parts.items()})
    entries, offset = {}, 0
    for name, (dtype, shape) in rest.items():
        size = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4, "U32": 4, "U8": 1, "I8": 1, "F8_E4M3": 1}[dtype]
        for length in shape:
            size *= length
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    with open(path, "wb") as file:
        file.write(framed(entries) + bytes(offset))
    edit(model, config)


def edit(model, changes):
    path = os.path.join(model, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config.update(changes)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


PACKED = {"qweight": ("I32", [16, 128]), "qzeros": ("I32", [1, 16]), "scales": ("F16", [1, 128])}
TOOLS = [
    ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, dict(PACKED, g_idx=("I32", [128])), ["GPTQ", "g_idx is I32 [128]"]),
    ({}, dict(PACKED, g_idx=("I32", [128])), ["GPTQ", "q_proj.g_idx"]),
    ({"quantization_config": {"quant_method": "awq", "bits": 4}}, PACKED, ["AWQ", "qweight is I32", "docs/checkpoints.md"]),
    ({"quantization_config": {}}, PACKED, ["GPTQ or AWQ", "qweight"]),
    ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
     {"weight": ("U8", [8192, 1]), "weight.absmax": ("F32", [256]), "weight.quant_map": ("F32", [16])},
     ["bitsandbytes", "weight is U8 [8192, 1]"]),
    ({}, {"weight": ("I8", [128, 128]), "SCB": ("F32", [128])}, ["bitsandbytes", "SCB"]),
    ({"quantization": {"group_size": 64, "bits": 4}},
     {"weight": ("U32", [128, 16]), "scales": ("BF16", [128, 2]), "biases": ("BF16", [128, 2])},
     ["MLX", "weight is U32 [128, 16]"]),
    ({"quantization_config": {"quant_method": "hqq"}}, {"W_q": ("U8", [64, 128])}, ["quantized by hqq", "W_q is U8 [64, 128]"]),
    ({"quantization_config": {"quant_method": "fbgemm_fp8"}}, {"weight": ("F8_E4M3", [128, 128]), "weight_scale": ("F32", [128, 1])},
     ["quantized by fbgemm_fp8", "weight is F8_E4M3"]),
]

with folder() as temporary:
    ids = os.path.join(temporary, "ids.safetensors")
    write_ids(ids, 2, 8, 64)

    def made(name, **changes):
        path = os.path.join(temporary, name)
        write_model(path, 128, 256, 1, 64, **changes)
        return path

    plain = made("plain")
    reference = os.path.join(temporary, "reference")
    check(strata("quantize", plain, "-o", reference, "--scheme", "W4A16", "-q").code == 0, "the dense model")
    logits = strata("logits", plain, "--tokens", ids, "-o", os.path.join(temporary, "plain-logits"))
    check(logits.code == 0 and "decision" not in logits.err, "a dense model has nothing left over", logits)

    for number, (changes, text) in enumerate(LEFTOVERS):
        model = made(f"left{number}", **changes)
        said = f"decision: {os.path.join(model, 'config.json')}: {text} is left over"
        plan = strata("plan", model, "--scheme", "W4A16")
        check(plan.code == 0 and text in plan.out, f"{text}: plan names it", plan)
        out = os.path.join(temporary, f"out{number}")
        result = strata("quantize", model, "-o", out, "--scheme", "W4A16")
        check(result.code == 0 and said in result.err, f"{text}: quantize names it", result)
        with open(os.path.join(out, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        with open(os.path.join(reference, "config.json"), encoding="utf-8") as file:
            check(config == json.load(file), f"{text}: no trace of it in the output", config)
        for name in os.listdir(reference):
            if name.endswith(".safetensors"):
                with open(os.path.join(reference, name), "rb") as one, open(os.path.join(out, name), "rb") as other:
                    check(one.read() == other.read(), f"{text}: the weights are those of the dense model", name)
        verified = strata("verify", out, "--source", model)
        check(verified.code == 0, f"{text}: verify agrees", verified)
        with open(os.path.join(out + ".work", "events.jsonl"), encoding="utf-8") as file:
            check(any(text in line for line in file if '"decision"' in line), f"{text}: it is recorded")
        seen = strata("inspect", model, "--json").json()
        check(seen["quantized_as"] is None and seen["leftover"] == text and seen["unknown"] == [], f"{text}: inspect", seen)
        check(text in strata("inspect", model).out, f"{text}: inspect says it")

        result = strata("logits", model, "--tokens", ids, "-o", os.path.join(temporary, f"logits{number}"))
        check(result.code == 0 and said in result.err, f"{text}: logits names it", result)
        with open(os.path.join(temporary, "plain-logits"), "rb") as one, open(os.path.join(temporary, f"logits{number}"), "rb") as other:
            check(one.read() == other.read(), f"{text}: logits of the dense model")
        compared = strata("eval", out, "--against", model, "--tokens", ids, "--window", "4")
        check(compared.code == 0 and said in compared.err, f"{text}: eval names it", compared)
        compared = strata("diff", plain, model, "--json").json()
        check(compared["equal_tensors"] == 12 and len(compared["config"]) > 0 and not compared["linears"], f"{text}: diff", compared)

    # What is no quantization stays in the output.
    model = made("other", quantization="none")
    out = os.path.join(temporary, "other-out")
    check(strata("quantize", model, "-o", out, "--scheme", "W4A16", "-q").code == 0, "a key of that name")
    with open(os.path.join(out, "config.json"), encoding="utf-8") as file:
        check(json.load(file)["quantization"] == "none", "is kept")
    check(strata("verify", out, "--source", model).code == 0, "and verified")

    for number, (changes, parts, texts) in enumerate(TOOLS):
        model = made(f"tool{number}")
        tool(model, changes, parts)
        texts = [*texts, model, "is quantized by", "give the checkpoint that it was made from"]
        check_error(strata("plan", model, "--scheme", "W4A16"), 5, *texts)
        check_error(strata("logits", model, "--tokens", ids, "-o", os.path.join(temporary, "x")), 5, *texts)
        seen = strata("inspect", model, "--json")
        check(seen.code == 0 and any(texts[0] in line for line in seen.json()["unknown"]), f"{texts[0]}: inspect", seen)
finish()
