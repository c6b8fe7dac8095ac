"""The MX formats against compressed-tensors' own compressors and fake_quantize: the same bytes for every rule of
theirs, on float32, bfloat16 and float16 weights."""

import os
import subprocess
import sys
import tempfile

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES
from compressed_tensors.quantization.utils import calculate_qparams, compute_dynamic_scales_and_zp
from safetensors.torch import load_file, save_file

from number_formats import hostile

PROBE = os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "tests", "format_probe")
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "fixtures", "models")
LAYOUTS = {4: "mxfp4-pack-quantized", 6: "mxfp6-pack-quantized", 8: "mxfp8-quantized"}
FORMATS = ("MXFP4", "MXFP4A16", "MXFP4XFP8", "MXFP6A16", "MXFP6A8", "MXFP8", "MXFP8A16")


def probe(verb, name, tensors, *rule):
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
        save_file(tensors, source)
        subprocess.run([PROBE, verb, name, source, result, *rule], check=True)
        return load_file(result)


def same_bytes(ours, theirs, what):
    assert ours.shape == theirs.shape, f"{what}: shape {tuple(ours.shape)} is not {tuple(theirs.shape)}"
    assert ours.dtype == theirs.dtype, f"{what}: dtype {ours.dtype} is not {theirs.dtype}"
    different = int((ours.contiguous().view(torch.uint8) != theirs.contiguous().view(torch.uint8)).sum())
    assert different == 0, f"{what}: {different} bytes differ"


def schemes(name):
    preset = PRESET_SCHEMES[name]
    return preset["weights"], preset.get("input_activations")


def compress(name, w):
    """What quantizing by the preset gives, in the arithmetic of w's type."""
    args, _ = schemes(name)
    groups = w.unflatten(-1, (-1, 32))
    scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
    scheme = QuantizationScheme(targets=["Linear"], weights=args, format=LAYOUTS[args.num_bits])
    state = {"weight": w.clone(), "weight_scale": scale, "weight_zero_point": zero}
    return BaseCompressor.get_value_from_registry(LAYOUTS[args.num_bits]).compress(state, scheme)


def patterns(dtype, generator):
    """Any finite bit patterns, and groups around the exponents where the type ends."""
    size = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}[dtype]
    info = torch.iinfo(size)
    wild = torch.randint(info.min, info.max, (64, 512), generator=generator, dtype=torch.int64).to(size).view(dtype)
    wild = torch.where(wild.isfinite(), wild, torch.zeros_like(wild))
    low, high = {torch.float16: (-24, 15)}.get(dtype, (-149, 127))
    exponents = torch.arange(low, high + 1).double().repeat_interleave(8)
    mantissas = torch.tensor([1, 1.5, 1.74, 1.75, 1.87, 1.9, 1.9375, 1.99]).double().repeat(high + 1 - low)
    peaks = (mantissas * 2.0**exponents).to(dtype)
    peaks = peaks[peaks.isfinite()]
    spread = torch.rand(len(peaks), 31, generator=generator).double() * 2 - 1
    edges = torch.cat([peaks[:, None], (spread * peaks[:, None].double()).to(dtype)], 1)
    edges[:, 3], edges[:, 4], edges[:, 5] = -0.0, -(2.0**low), 2.0**low
    return {"wild": wild, "edges": edges.repeat(1, 4)}


def weights(dtype):
    generator = torch.Generator().manual_seed(1)
    cases = {
        "normal": torch.randn(64, 512, generator=generator) * 0.05,
        "wide": torch.randn(3, 4096, generator=generator),
        "zeros": torch.zeros(5, 256),
        "tails": torch.distributions.StudentT(3.0).sample((48, 256)) * 0.01,
        "hostile": hostile(generator),
        "hostile_small": hostile(generator).clamp(-1, 1),
        "ties": (torch.arange(4 * 256).remainder(49).float() - 24).reshape(4, 256) * 0.125,
    }
    for i in range(6):
        cases[f"shape{i}"] = torch.randn(7 * i + 1, 128 * (i + 1), generator=generator) * 10.0 ** (i - 3)
    limit = torch.finfo(dtype).max
    cases = {case: w.clamp(-limit, limit).to(dtype) for case, w in cases.items()}
    return {**cases, **patterns(dtype, generator)}


def trained():
    cases = {}
    for model in ("qwen3-dense", "tinystories-656k"):
        folder = os.path.join(FIXTURES, model)
        for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            for key, w in (load_file(os.path.join(folder, file)) if file.endswith(".safetensors") else {}).items():
                if w.ndim == 2 and "layers.0." in key and w.shape[1] % 128 == 0:
                    cases[f"{model}-{key.removesuffix('.weight').replace('.', '-')}"] = w.to(torch.bfloat16)
    return cases


def test_parity():
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        cases = {**weights(dtype), **(trained() if dtype == torch.bfloat16 else {})}
        for name in FORMATS:
            tensors = {f"{case}.weight": w.contiguous() for case, w in cases.items()}
            ours = probe("encode", name, tensors, "compressed_tensors")
            for case, w in cases.items():
                for suffix, theirs in compress(name, w).items():
                    same_bytes(ours[f"{case}.{suffix}"], theirs, f"{name} {case} {dtype} {suffix}")
        print(f"{dtype}: {len(cases)} weights in {len(FORMATS)} formats equal compressed-tensors")


def test_min_max_is_their_rule():
    """On ordinary bfloat16 weights the plain rule differs in nothing but scales of zero groups."""
    w = weights(torch.bfloat16)["normal"]
    for name in FORMATS:
        ours = probe("encode", name, {"m.weight": w}, "minmax")
        for suffix, theirs in compress(name, w).items():
            same_bytes(ours[f"m.{suffix}"], theirs, f"{name} {suffix}")


def test_decode():
    """Decoded weights are their decompressed ones, which are bfloat16 and exact there."""
    for name in FORMATS:
        args, _ = schemes(name)
        layout = LAYOUTS[args.num_bits]
        w = torch.randn(32, 256, generator=torch.Generator().manual_seed(3)) * 0.1
        state = compress(name, w)
        scheme = QuantizationScheme(targets=["Linear"], weights=args, format=layout)
        theirs = BaseCompressor.get_value_from_registry(layout).decompress(dict(state), scheme)["weight"]
        tensors = {f"m.{suffix}": tensor for suffix, tensor in state.items()}
        ours = probe("decode", name, {**tensors, "m.shape": torch.tensor([32, 256])})["m.decoded"]
        same_bytes(ours, theirs.float(), f"{name} decoded")


def test_inputs():
    generator = torch.Generator().manual_seed(2)
    count = 0
    for name in FORMATS:
        args = schemes(name)[1]
        if args is None:
            continue
        cases = {**weights(torch.float32), "outlier": torch.randn(4, 128, generator=generator) * 1e-3}
        cases["outlier"][:, 5] = -2000.0
        # A peak that rounds past float32 makes their scale infinite and all NaN: no activation is there.
        cases = {case: torch.where(x.abs() > 2.0**126, x * 2.0**-8, x).contiguous() for case, x in cases.items()}
        ours = probe("input", name, {f"{case}.input": x for case, x in cases.items()})
        for case, x in cases.items():
            scales, zeros = compute_dynamic_scales_and_zp(x.unsqueeze(0), args, None)
            theirs = fake_quantize(x.unsqueeze(0), scales, zeros, args)[0]
            same_bytes(ours[f"{case}.quantized"], theirs, f"{name} inputs {case}")
            count += 1
    print(f"{count} inputs equal fake_quantize")


def main():
    for test in (test_parity, test_min_max_is_their_rule, test_decode, test_inputs):
        test()
        print(f"{test.__name__}: ok")


if __name__ == "__main__":
    main()
