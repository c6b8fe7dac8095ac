"""Casts the Linears of a dense checkpoint into a native storage, as other tools publish them.

    cast_fp8.py KIND SOURCE OUT

    tensor      FP8, one scale a weight in BF16 of shape [], a static activation_scale: as Mistral Medium stores it
    dynamic     FP8, one scale a weight, activations quantized on the fly
    block       FP8, a scale in BF16 per 128x128 block: as Qwen's FP8 repositories store it
    block_f32   the same with scales in F32: DeepSeek-V3, MiniMax-M2
    block_e8m0  the same with powers of two, called `scale`: DeepSeek-V4
    mxfp8       FP8, a power of two per 32 columns in U8
    mxfp4       FP4 in I8, a power of two per 32 columns, called `scale`: the experts of DeepSeek-V4
    nvfp4       ModelOpt's NVFP4 with input scales and a scale of the cache; hf_quant_config.json beside it
    dense       no cast: float32, sharded as the source

Norms, embeddings, routers and the head stay dense. decoded(tensors) is what the codes mean, computed by torch.
"""

import json
import os
import re
import shutil
import sys

import torch
from safetensors import safe_open
from safetensors.torch import save_file

LINEAR = re.compile(r".*\.(?:[qkvo]_proj|gate_proj|up_proj|down_proj)\.weight$")
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def read(folder):
    tensors = {}
    for file in sorted(os.listdir(folder)):
        if file.endswith(".safetensors") and file.startswith("model"):
            with safe_open(os.path.join(folder, file), "pt") as shard:
                tensors.update({name: shard.get_tensor(name) for name in shard.keys()})
    return tensors


def siblings(name):
    """All weights that are served as one matrix with this one."""
    module = name.removesuffix(".weight")
    stem, last = module.rsplit(".", 1)
    group = next((g for g in FUSED if last in g), (last,))
    return [f"{stem}.{member}.weight" for member in group]


def e4m3(x):
    return x.clamp(-448, 448).to(torch.float8_e4m3fn)


def tiles(weight, rows, cols):
    """[ceil(o / rows), ceil(i / cols), rows, cols], padded with zeros."""
    o, i = weight.shape
    padded = torch.nn.functional.pad(weight, (0, -i % cols, 0, -o % rows))
    return padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // cols, cols).transpose(1, 2)


def spread(scales, rows, cols, shape):
    """A scale for every element."""
    return scales.repeat_interleave(rows, 0).repeat_interleave(cols, 1)[: shape[0], : shape[1]]


def power_of_two(amax, largest):
    """Codes of E8M0: the smallest power of two that keeps amax / scale at or below `largest`."""
    exponent = torch.where(amax > 0, torch.ceil(torch.log2(amax / largest)), torch.tensor(-127.0))
    return (exponent.clamp(-127, 127) + 127).to(torch.uint8)


def from_e8m0(codes):
    return torch.exp2(codes.view(torch.uint8).float() - 127)


def nearest_e2m1(x):
    return (x.abs().unsqueeze(-1) - E2M1[:8]).abs().argmin(-1).to(torch.uint8) | ((x < 0).to(torch.uint8) << 3)


def pack_nibbles(codes):
    return codes[:, 0::2] | codes[:, 1::2] << 4


def cast_linear(kind, stem, weight, dense, index):
    """The tensors of one Linear by suffix."""
    if kind in ("tensor", "dynamic"):
        scale = (weight.abs().max() / 448).to(torch.bfloat16)
        cast = {"weight": e4m3(weight / scale.float()), "weight_scale_inv": scale}
        if kind == "tensor":
            cast["activation_scale"] = torch.tensor(0.01 * (1 + len(siblings(stem + ".weight"))), dtype=torch.bfloat16)
            group = siblings(stem + ".weight")
            if index % 2 == 0 or "experts" in stem:  # half of the fused Linears share a scale, as some tools make them
                return cast
            shared = (torch.stack([dense[name].float().abs().max() for name in group]).max() / 448).to(torch.bfloat16)
            cast["weight"], cast["weight_scale_inv"] = e4m3(weight / shared.float()), shared
        return cast
    if kind.startswith("block"):
        amax = tiles(weight, 128, 128).abs().amax((2, 3))
        if kind == "block_e8m0":
            codes = power_of_two(amax, 448)
            return {"weight": e4m3(weight / spread(from_e8m0(codes), 128, 128, weight.shape)),
                    "scale": codes.view(torch.float8_e8m0fnu)}
        scales = (amax / 448).clamp(min=2.0**-20)
        scales = scales if kind == "block_f32" else scales.to(torch.bfloat16)
        return {"weight": e4m3(weight / spread(scales.float(), 128, 128, weight.shape)), "weight_scale_inv": scales}
    if kind == "mxfp8":
        codes = power_of_two(tiles(weight, 1, 32).abs().amax((2, 3)), 448)
        return {"weight": e4m3(weight / spread(from_e8m0(codes), 1, 32, weight.shape)), "weight_scale_inv": codes}
    if kind == "mxfp4":
        codes = power_of_two(tiles(weight, 1, 32).abs().amax((2, 3)), 6)
        packed = pack_nibbles(nearest_e2m1(weight / spread(from_e8m0(codes), 1, 32, weight.shape)))
        return {"weight": packed.view(torch.int8), "scale": codes.view(torch.float8_e8m0fnu)}
    if kind == "nvfp4":
        amax = torch.stack([dense[name].float().abs().max() for name in siblings(stem + ".weight")]).max()
        second = amax / 2688
        first = e4m3(tiles(weight, 1, 16).abs().amax((2, 3)) / 6 / second)
        served = spread(first.float() * second, 1, 16, weight.shape)
        codes = nearest_e2m1(torch.where(served > 0, weight / served, torch.zeros(())))
        return {"weight": pack_nibbles(codes), "weight_scale": first, "weight_scale_2": second,
                "input_scale": torch.tensor(0.003)}
    sys.exit(f"cast_fp8.py: there is no kind {kind}")


def decode_linear(parts):
    """float32 of one Linear, from its tensors by suffix."""
    weight = parts["weight"]
    scales = next((parts[s] for s in ("weight_scale_inv", "weight_scale", "scale") if s in parts), None)
    if scales is None:
        return weight.float()
    if "weight_scale_2" in parts:
        factors = scales.float() * parts["weight_scale_2"]
        values = E2M1[torch.stack([weight & 15, weight >> 4], -1).reshape(weight.shape[0], -1).long()]
        return values * spread(factors, 1, 16, values.shape)
    factors = from_e8m0(scales) if scales.dtype in (torch.uint8, torch.float8_e8m0fnu) else scales.float()
    if weight.dtype == torch.int8:
        codes = weight.view(torch.uint8)
        values = E2M1[torch.stack([codes & 15, codes >> 4], -1).reshape(codes.shape[0], -1).long()]
    else:
        values = weight.float()
    if scales.numel() == 1:
        return values * factors
    per_32 = scales.dtype in (torch.uint8, torch.float8_e8m0fnu) and scales.shape == (values.shape[0], values.shape[1] // 32)
    return values * spread(factors, *((1, 32) if per_32 else (128, 128)), values.shape)


def quantization_config(kind):
    if kind == "nvfp4":
        return {"quant_method": "modelopt", "quant_algo": "NVFP4", "producer": {"name": "modelopt", "version": "0.45.0"},
                "ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"]}}}
    block = {"block": [128, 128], "mxfp8": [1, 32]}.get(kind.split("_")[0])
    config = {"quant_method": "fp8", "activation_scheme": "static" if kind == "tensor" else "dynamic",
              "modules_to_not_convert": ["lm_head"], "weight_block_size": block}
    return dict(config, scale_fmt="ue8m0") if kind == "block_e8m0" else config


def save(folder, tensors, source, config):
    os.makedirs(folder, exist_ok=True)
    save_file({name: t.contiguous() for name, t in tensors.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    json.dump(config, open(os.path.join(folder, "config.json"), "w"), indent=2)
    for file in os.listdir(source):
        if not re.search(r"safetensors|config\.json$", file) and os.path.isfile(os.path.join(source, file)):
            shutil.copy(os.path.join(source, file), folder)


def cast(kind, source, out):
    """Writes OUT; gives the tensors that it means, as float32 where they are Linears."""
    dense = read(source)
    config = json.load(open(os.path.join(source, "config.json")))
    if kind != "dense":
        config["quantization_config"] = quantization_config(kind)
    stored, meant = {}, {}
    for index, (name, tensor) in enumerate(sorted(dense.items())):
        if kind == "dense" or not LINEAR.match(name):
            stored[name] = meant[name] = tensor
            continue
        stem = name.removesuffix(".weight")
        parts = cast_linear(kind, stem, tensor.float(), dense, len(siblings(name)) + index // 9)
        stored.update({f"{stem}.{suffix}": part for suffix, part in parts.items()})
        meant[name] = decode_linear(parts)
        if kind == "nvfp4" and stem.endswith("k_proj"):
            stored[f"{stem}.k_scale"] = torch.tensor(0.02)
    save(out, stored, source, config)
    if kind == "nvfp4":
        json.dump({"quantization": {"quant_algo": "NVFP4"}}, open(os.path.join(out, "hf_quant_config.json"), "w"))
    return meant


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    cast(*sys.argv[1:])
