"""The number formats against compressed-tensors' own compressors, and against a numpy decoder.

Codes and scales are byte-equal on float32 inputs. Where the rule of the program is another one, the compressor is
given the program's scale (number_formats.stored_scales), and in NVFP4 the sign of -0 is kept. parity_test.py has
activations, and the rule that is theirs.
"""

import os
import subprocess
import sys
import tempfile

import torch
from compressed_tensors.quantization.utils import generate_gparam
from safetensors.torch import load_file, save_file

import numpy_decoder
import write_number_goldens
from number_formats import ARGS, compress, hostile, stored_scales, with_signed_zeros

PROBE = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "tests", "format_probe")
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "fixtures", "models")


def probe(*words):
    subprocess.run([PROBE, *words], check=True)


def run_probe(verb, name, tensors):
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
        save_file(tensors, source)
        probe(verb, name, source, result)
        return load_file(result), numpy_decoder.read_safetensors(result)


def raw(tensor):
    return tensor.contiguous().flatten().view(torch.uint8)


def same_bytes(ours, theirs, what):
    theirs = theirs.to(ours.dtype) if ours.dtype != theirs.dtype and ours.dtype == torch.int64 else theirs
    assert ours.dtype == theirs.dtype, f"{what}: dtype {ours.dtype} is not {theirs.dtype}"
    assert tuple(ours.shape) == tuple(theirs.shape), f"{what}: shape {tuple(ours.shape)} is not {tuple(theirs.shape)}"
    different = int((raw(ours) != raw(theirs)).sum())
    assert different == 0, f"{what}: {different} of {ours.numel()} values differ"


def weights():
    generator = torch.Generator().manual_seed(1)
    cases = {
        "normal": torch.randn(64, 512, generator=generator) * 0.05,
        "wide": torch.randn(3, 4096, generator=generator),
        "one_row": torch.randn(1, 128, generator=generator),
        "tails": torch.distributions.StudentT(3.0).sample((48, 256)) * 0.01,
        "zeros": torch.zeros(5, 256),
        "tiny": torch.full((4, 128), 1e-42),
        "hostile": hostile(generator),
        "hostile_small": hostile(generator).clamp(-1, 1),
    }
    for i in range(12):  # shapes whose row blocks do not divide
        cases[f"shape{i}"] = torch.randn(7 * i + 1, 128 * (i + 1), generator=generator) * 10.0 ** (i - 6)
    return cases


def trained_weights():
    cases = {}
    for model in ("qwen3-dense", "tinystories-656k"):
        folder = os.path.join(FIXTURES, model)
        if not os.path.isdir(folder):
            continue
        for file in sorted(os.listdir(folder)):
            if not file.endswith(".safetensors"):
                continue
            for name, tensor in load_file(os.path.join(folder, file)).items():
                if tensor.ndim == 2 and "layers.0." in name and tensor.shape[1] % 128 == 0:
                    cases[f"{model}-{name.removesuffix('.weight').replace('.', '-')}"] = tensor.float()
    return cases


def check_weight(name, case, w, ours, arrays):
    scale, global_scale = stored_scales(name, w)
    fields = compress(name, w, scale, global_scale)
    if name.startswith("NVFP4"):
        fields = with_signed_zeros(fields, w)
    for suffix, theirs in fields.items():
        same_bytes(ours[f"{case}.{suffix}"], theirs, f"{name} {case} {suffix}")
    decoded = numpy_decoder.decode_module(arrays, case, name)
    same_bytes(ours[f"{case}.decoded"], torch.from_numpy(decoded), f"{name} {case} decoded")


def test_weights():
    cases = {**weights(), **trained_weights()}
    for name in ARGS:
        ours, arrays = run_probe("encode", name, {f"{case}.weight": w for case, w in cases.items()})
        for case, w in cases.items():
            check_weight(name, case, w, ours, arrays)
        print(f"{name}: {len(cases)} weights equal compressed-tensors, and the numpy decoder")


def test_fused_scale():
    w = torch.randn(8, 64) * 0.1
    tensors = {"m.weight": w, "m.fused_amax": torch.tensor([3.7]), "m.input_amax": torch.tensor([11.3])}
    ours, _ = run_probe("encode", "NVFP4", tensors)
    same_bytes(ours["m.weight_global_scale"], (2688.0 / torch.tensor([3.7]).double()).float(), "fused scale")
    same_bytes(ours["m.input_global_scale"], (2688.0 / torch.tensor([11.3]).double()).float(), "input scale")


def test_half_inputs():
    """16-bit weights are widened exactly: the same bytes as from float32."""
    for dtype in (torch.bfloat16, torch.float16):
        w = (torch.randn(33, 256) * 0.05).to(dtype)
        for name in ARGS:
            half, _ = run_probe("encode", name, {"m.weight": w})
            full, _ = run_probe("encode", name, {"m.weight": w.float()})
            for suffix in full:
                same_bytes(half[suffix], full[suffix], f"{name} {suffix} from {dtype}")


def test_dense():
    w = torch.cat([torch.randn(64, 96), torch.tensor([1.00390625, 1.01171875, -3e38, 1e-45, -0.0, 2.0**-133]).repeat(1, 16)])
    bf16, _ = run_probe("encode", "BF16", {"m.weight": w})
    same_bytes(bf16["m.weight"], w.to(torch.bfloat16), "BF16")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        kept, _ = run_probe("encode", "KEEP", {"m.weight": w.clamp(-10, 10).to(dtype)})
        same_bytes(kept["m.weight"], w.clamp(-10, 10).to(dtype), f"KEEP {dtype}")


def decode_foreign(name, tensors, shape):
    tensors = {f"m.{suffix}": tensor for suffix, tensor in tensors.items()}
    ours, _ = run_probe("decode", name, {**tensors, "m.shape": torch.tensor(shape)})
    return ours["m.decoded"]


def test_foreign_files():
    """Legal files of other tools: other scale types and shapes, negative scales, leftover tensors."""
    generator = torch.Generator().manual_seed(3)
    packed = torch.randint(-(2**31), 2**31 - 1, (6, 32), dtype=torch.int32, generator=generator)
    q = torch.stack([packed >> 4 * i & 15 for i in range(8)], -1).flatten(1) - 8
    for dtype in (torch.float16, torch.float32, torch.bfloat16):
        scale = (torch.randn(6, 2, generator=generator) * 0.01).to(dtype)
        ours = decode_foreign("W4A16", {"weight_packed": packed, "weight_scale": scale}, [6, 256])
        same_bytes(ours, q * scale.float().repeat_interleave(128, 1), f"negative {dtype} scales")
    codes = torch.randint(0, 0x7F, (4, 40), dtype=torch.uint8, generator=generator).view(torch.float8_e4m3fn)
    for shape in ((4, 1), (4,), (1,), ()):
        scale = torch.full(shape, 0.0123)
        ours = decode_foreign("FP8_DYNAMIC", {"weight": codes, "weight_scale": scale}, [4, 40])
        same_bytes(ours, codes.float() * torch.tensor(0.0123), f"FP8 scale of shape {shape}")
    nibble = torch.randint(0, 256, (3, 16), dtype=torch.uint8, generator=generator)
    scale = torch.randint(1, 0x7E, (3, 2), dtype=torch.uint8, generator=generator).view(torch.float8_e4m3fn)
    values = torch.from_numpy(numpy_decoder.E2M1[numpy_decoder.nibbles(nibble.numpy())])
    for shape in ((1,), (), (1, 1)):
        stored = {"weight_packed": nibble, "weight_scale": scale, "weight_global_scale": torch.full(shape, 1234.5),
                  "weight_shape": torch.tensor([3, 32]), "input_global_scale": torch.ones(1)}
        ours = decode_foreign("NVFP4A16", stored, [3, 32])
        same_bytes(ours, values * (scale.float() / 1234.5).repeat_interleave(16, 1), f"global scale {shape}")


def test_goldens():
    for name in ARGS:
        stored = load_file(os.path.join(write_number_goldens.FOLDER, name.lower() + ".safetensors"))
        expected = write_number_goldens.golden(name)
        assert stored.keys() == expected.keys(), f"{name}: run write_number_goldens.py again"
        for key, tensor in expected.items():
            same_bytes(stored[key], tensor, f"golden {name} {key}")


def main():
    for test in (test_goldens, test_weights, test_fused_scale, test_half_inputs, test_dense, test_foreign_files):
        test()
        print(f"{test.__name__}: ok")


if __name__ == "__main__":
    main()
