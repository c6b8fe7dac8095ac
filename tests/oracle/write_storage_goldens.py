"""Writes tests/golden/storage/native.safetensors: Linears as other tools store them, with what torch decodes.

    write_storage_goldens.py OUT.safetensors

Each module holds its tensors under their own names and "decoded" in float32, computed by torch from its float8 types.
Codes run through all of E4M3 but its NaN and all of E2M1, scales through all of E8M0 that stay in float32; the blocks
of 128 x 128 have ragged ends in both directions.
"""

import sys

import torch
from safetensors.torch import save_file

from cast_fp8 import E2M1, spread

generator = torch.Generator().manual_seed(7)


def e4m3(rows, cols):
    codes = torch.tensor([c for c in range(256) if c & 127 != 127], dtype=torch.uint8)
    return codes[torch.randint(len(codes), (rows, cols), generator=generator)].view(torch.float8_e4m3fn)


def e8m0(*shape, low=0, high=245):
    codes = torch.randint(low, high, shape, generator=generator).to(torch.uint8)
    codes.view(-1)[:2] = torch.tensor([low, high - 1], dtype=torch.uint8)
    return codes


def nibbles(*shape):
    return torch.randint(256, shape, generator=generator).to(torch.uint8)


def e2m1_values(packed):
    return E2M1[torch.stack([packed & 15, packed >> 4], -1).flatten(-2).long()]


def power(codes):
    return codes.view(torch.float8_e8m0fnu).float()


def main(path):
    modules = {}
    scale = lambda *shape: torch.rand(shape, generator=generator) * 0.01 + 1e-4

    weight, s = e4m3(40, 96), scale()
    modules["tensor"] = {"weight": weight, "weight_scale_inv": s.bfloat16(), "activation_scale": scale().bfloat16(),
                         "decoded": weight.float() * s.bfloat16().float()}
    weight, s = e4m3(24, 48), scale(1)
    modules["modelopt_fp8"] = {"weight": weight, "weight_scale": s, "input_scale": scale(1), "decoded": weight.float() * s}
    for name, dtype, shape, grid in (("block_bf16", torch.bfloat16, (130, 20), (2, 1)), ("block_f32", torch.float32, (20, 260), (1, 3))):
        weight, s = e4m3(*shape), scale(*grid).to(dtype)
        modules[name] = {"weight": weight, "weight_scale_inv": s,
                         "decoded": weight.float() * spread(s.float(), 128, 128, weight.shape)}
    weight, s = e4m3(130, 131), e8m0(2, 2)
    modules["block_e8m0"] = {"weight": weight, "scale": s.view(torch.float8_e8m0fnu),
                             "decoded": weight.float() * spread(power(s), 128, 128, weight.shape)}
    weight, s = e4m3(64, 96), e8m0(64, 3)
    modules["columns_32"] = {"weight": weight, "weight_scale_inv": s,
                             "decoded": weight.float() * spread(power(s), 1, 32, weight.shape)}
    packed, s = nibbles(48, 64), e8m0(48, 4, high=252)
    modules["mxfp4"] = {"weight": packed.view(torch.int8), "scale": s.view(torch.float8_e8m0fnu),
                        "decoded": e2m1_values(packed) * spread(power(s), 1, 32, (48, 128))}
    packed, s = nibbles(32, 32), e4m3(32, 4)
    second = torch.tensor(0.00123)
    modules["modelopt_nvfp4"] = {"weight": packed, "weight_scale": s, "weight_scale_2": second,
                                 "input_scale": torch.tensor(0.02),
                                 "decoded": e2m1_values(packed) * spread(s.float() * second, 1, 16, (32, 64))}
    blocks, s = nibbles(3, 8, 2, 16), e8m0(3, 8, 2, high=252)
    modules["gpt_oss"] = {"blocks": blocks, "scales": s,
                          "decoded": e2m1_values(blocks.flatten(-2)) * power(s).repeat_interleave(32, -1)}
    for name, parts in modules.items():
        assert torch.isfinite(parts["decoded"]).all(), name
    save_file({f"{name}.{suffix}": t.contiguous() for name, parts in modules.items() for suffix, t in parts.items()}, path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
