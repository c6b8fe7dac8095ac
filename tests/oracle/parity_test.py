"""`--parity compressed-tensors` against compressed-tensors itself: every stored byte of every format that it has.

    parity_test.py STRATA [FORMAT...]

Their road, for BF16, F16 and F32 weights: initialize_module_for_quantization, the scales of calculate_qparams from the
minimum and maximum (what their observer does), compress_module. Ours: `format_probe encode FORMAT IN OUT
compressed_tensors`. Also: the decoded weight against decompress in float32 and the numpy decoder, the activation
quantizers against fake_quantize, and the config groups against their presets.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor, compress_module
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme, initialize_module_for_quantization
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, compute_dynamic_scales_and_zp, generate_gparam
from safetensors.torch import load_file, save_file

import numpy_decoder

STRATA = sys.argv[1]
PROBE = os.path.join(os.path.dirname(os.path.abspath(STRATA)), "tests", "format_probe")
FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "fixtures", "models")
DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
INPUT_AMAX = 11.3

# Formats that compressed-tensors does not have, or that only copy.
NOT_THEIRS = {"BF16", "KEEP", "FP8_SOURCE", "FP8_SOURCE_STATIC", "FP8_SOURCE_STATIC_CHANNEL", "MXFP6_E3M2"}


def integers(bits, **args):
    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(num_bits=bits, type="int", **args))


def schemes():
    presets = ["NVFP4", "NVFP4A16", "MXFP4", "MXFP4A16", "MXFP4XFP8", "MXFP6A16", "MXFP6A8", "MXFP8", "MXFP8A16",
               "W4A16", "W4A16_ASYM", "W8A16", "INT8", "FP8", "FP8_DYNAMIC", "FP8_BLOCK"]
    table = {name: preset_name_to_scheme(name, ["Linear"]) for name in presets}
    for group in (64, 32):
        table[f"W4A16_G{group}"] = integers(4, strategy="group", group_size=group)
        table[f"W4A16_G{group}_ASYM"] = integers(4, strategy="group", group_size=group, symmetric=False)
    table["W8A16_CHANNEL"] = integers(8, strategy="channel")
    return table


# --- weights ---------------------------------------------------------------------------------------------------------


def hostile(generator, rows, cols):
    """A nasty row of every kind, over and over."""
    column = torch.arange(cols).float()
    kinds = [
        torch.zeros(cols),
        torch.zeros(cols) * -1.0,
        torch.randn(cols, generator=generator) * 0.02,
        torch.where(column == 5, 1000.0, 0.001),
        torch.where(column == cols - 1, -1000.0, torch.randn(cols, generator=generator)),
        torch.full((cols,), 2.0**-140),
        torch.full((cols,), 2.0**-24),
        column.remainder(15) - 7.0 + torch.where(column % 32 == 0, 0.5, 0.0),  # ties of int4
        column.remainder(255) * 0.5 - 63.5,  # ties of int8
        (column.remainder(25) - 12) * 0.25 + torch.where(column % 16 == 0, 3.0, 0.0),  # ties of E2M1
        448.0 * torch.linspace(-1, 1, cols),
        torch.where(column % 2 == 0, -0.0, torch.randn(cols, generator=generator)),
        torch.where(column < cols // 2, 0.0, torch.randn(cols, generator=generator)),
        torch.randn(cols, generator=generator) * torch.logspace(-30, 3, cols),
        torch.randn(cols, generator=generator) * torch.logspace(-7, 4, cols),
        -torch.randn(cols, generator=generator).abs(),
        torch.randn(cols, generator=generator).abs() + 5,
        torch.full((cols,), 3.0e38) * torch.sign(torch.randn(cols, generator=generator)),
        torch.full((cols,), 65504.0) * torch.sign(torch.randn(cols, generator=generator)),
        torch.randn(cols, generator=generator) * 2.0**-120,
        torch.randn(cols, generator=generator) * 2.0**-16,
        torch.full((cols,), -1e-45),
        2.0 ** (column.remainder(40) - 20),
        1.0 + column.remainder(128) / 128.0,
    ]
    return torch.stack([kinds[i % len(kinds)] for i in range(rows)])


def made_weights():
    generator = torch.Generator().manual_seed(11)
    normal = lambda rows, cols: torch.randn(rows, cols, generator=generator)
    cases = {
        "normal": normal(96, 512) * 0.05,
        "student": torch.distributions.StudentT(3.0).sample((48, 256)) * 0.01,
        "hostile": hostile(generator, 24, 256),
        "hostile_wide": hostile(generator, 48, 1024),
        "zeros": torch.zeros(5, 256),
        "minus_zeros": torch.zeros(2, 128) * -1.0,
        "one_row": normal(1, 128),
        "outlier": torch.cat([normal(3, 384) * 1e-4, torch.full((1, 384), 3e4)]),
        "blocks": normal(256, 384) * 0.1,
        "blocks_of_zeros": torch.nn.functional.pad(normal(128, 128), (128, 0, 0, 128)),
        "blocks_hostile": hostile(generator, 256, 256).roll(1, 0),
        "blocks_scales": normal(128, 256) * torch.logspace(-20, 4, 128).unsqueeze(1),
        "blocks_tiny": normal(128, 256) * 1e-41,
        "tiny": torch.full((4, 128), 1e-42),
        "odd": normal(3, 7),
        "odd_wide": normal(9, 333) * 3,
        "one": torch.tensor([[-0.7]]),
    }
    for i in range(8):  # rows that do not divide by a word of zero points, and scales far apart
        cases[f"shape{i}"] = normal(7 * i + 1, 128 * (i + 1)) * 10.0 ** (i - 4)
    return cases


def trained_weights():
    cases = {}
    for model in ("qwen3-dense", "tinystories-656k"):
        folder = os.path.join(FIXTURES, model)
        if not os.path.isdir(folder):
            print(f"{model}: not there, not tested")
            continue
        for file in sorted(os.listdir(folder)):
            if not file.endswith(".safetensors"):
                continue
            for name, tensor in load_file(os.path.join(folder, file)).items():
                if tensor.ndim == 2 and "layers.0." in name:
                    cases[f"{model}-{name.removesuffix('.weight').replace('.', '-')}"] = tensor.float()[:128]
    return cases


def fits(scheme, shape):
    rows, cols = shape
    weights = scheme.weights
    if weights.strategy == "block":
        return rows % 128 == 0 and cols % 128 == 0 and cols > 128
    return weights.group_size is None or cols % weights.group_size == 0


def in_dtype(w, dtype):
    return w.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max).to(dtype)


# --- their road ------------------------------------------------------------------------------------------------------


def extremes(w, args):
    if args.strategy in ("group", "tensor_group"):
        groups = w.unflatten(-1, (-1, args.group_size))
        return groups.amin(-1), groups.amax(-1)
    if args.strategy == "channel":
        return w.amin(-1, keepdim=True), w.amax(-1, keepdim=True)
    if args.strategy == "block":
        high, wide = args.block_structure
        blocks = w.unflatten(0, (-1, high)).unflatten(-1, (-1, wide))
        return blocks.amin((1, 3)), blocks.amax((1, 3))
    return w.min().reshape(1), w.max().reshape(1)


def calibrated(module, args, dtype):
    """What their observers leave of inputs in [-INPUT_AMAX, 1]."""
    least, most = torch.tensor([-INPUT_AMAX], dtype=dtype), torch.tensor([1.0], dtype=dtype)
    if args.strategy == "tensor_group":
        module.input_global_scale.data.copy_(generate_gparam(least, most))
    else:
        module.input_scale.data.copy_(calculate_qparams(least, most, args)[0])


def theirs(scheme, w):
    module = torch.nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=w.dtype)
    module.weight.data.copy_(w)
    module.requires_grad_(False)
    initialize_module_for_quantization(module, scheme.model_copy(deep=True))
    args, global_scale = scheme.weights, None
    if args.strategy == "tensor_group":
        global_scale = generate_gparam(w.min(), w.max())
        module.weight_global_scale.data.copy_(global_scale)
    least, most = extremes(w, args)
    scale, zero = calculate_qparams(least, most, args, global_scale)
    module.weight_scale.data.copy_(scale)
    module.weight_zero_point.data.copy_(zero)
    assert bool((module.weight_scale == scale).all() and (module.weight_zero_point == zero).all())
    if scheme.input_activations is not None and scheme.input_activations.dynamic is not True:
        calibrated(module, scheme.input_activations, w.dtype)
    compress_module(module)
    return dict(module.state_dict()), module.quantization_scheme


def their_decoded(scheme, stored):
    """decompress of what a file gives back, the scales widened to float32 so that it multiplies in float32."""
    state = {k: packed_tight(v.float() if k == "weight_scale" else v) for k, v in stored.items()}
    return BaseCompressor.get_value_from_registry(scheme.format.value).decompress(state, scheme)["weight"]


# --- ours ------------------------------------------------------------------------------------------------------------


def run_probe(*words, tensors):
    with tempfile.TemporaryDirectory() as folder:
        source, result = os.path.join(folder, "in"), os.path.join(folder, "out")
        save_file(tensors, source)
        verb, name, *rest = words
        subprocess.run([PROBE, verb, name, source, result, *rest], check=True)
        return load_file(result), numpy_decoder.read_safetensors(result)


def packed_tight(tensor):
    """A copy without strides of its own; [1, n] counts as contiguous whatever they are."""
    return tensor.flatten().clone(memory_format=torch.contiguous_format).reshape(tensor.shape)


def raw(tensor):
    flat = tensor.flatten()
    return (flat if flat.numel() == 0 or flat.stride(0) == 1 else packed_tight(flat)).view(torch.uint8)


def same_bytes(ours, expected, what):
    assert ours.dtype == expected.dtype, f"{what}: dtype {ours.dtype}, theirs is {expected.dtype}"
    assert ours.shape == expected.shape, f"{what}: shape {tuple(ours.shape)}, theirs is {tuple(expected.shape)}"
    if torch.equal(raw(ours), raw(expected)):
        return
    size = ours.element_size()
    different = (raw(ours) != raw(expected)).view(-1, size).any(1)
    first = int(different.nonzero()[0])
    a, b = ours.flatten()[first], expected.flatten()[first]
    raise AssertionError(f"{what}: {int(different.sum())} of {ours.numel()} values differ, the first at {first}: "
                         f"ours {a.item()}, theirs {b.item()}")


def can_decompress(scheme, w):
    """In float32, and not zero points that are one row of words: 0.20 cannot view those as bytes."""
    plain = scheme.format.value in ("pack-quantized", "int-quantized", "float-quantized")
    return plain and (scheme.weights.symmetric or w.shape[0] > 8)


# Every value is finite: not so where the range of a group with a zero point overflows, or a float16 scale.
def finite(stored):
    return all(bool(t.float().isfinite().all()) for k, t in stored.items() if k.endswith("scale"))


def check_weights(name, scheme, cases):
    count = 0
    for label, dtype in DTYPES.items():
        weights = {case: in_dtype(w, dtype) for case, w in cases.items() if fits(scheme, w.shape)}
        tensors = {f"{case}.weight": w for case, w in weights.items()}
        tensors.update({f"{case}.input_amax": torch.tensor([INPUT_AMAX]).to(dtype).float() for case in weights})
        ours, arrays = run_probe("encode", name, "compressed_tensors", tensors=tensors)
        for case, w in weights.items():
            stored, their_scheme = theirs(scheme, w)
            suffixes = {key.removeprefix(case + ".") for key in ours if key.startswith(case + ".")} - {"decoded"}
            assert suffixes == set(stored), f"{name} {label} {case}: fields {sorted(suffixes)}, theirs are {sorted(stored)}"
            for suffix, tensor in stored.items():
                same_bytes(ours[f"{case}.{suffix}"], tensor, f"{name} {label} {case} {suffix}")
            count += 1
            if not finite(stored):
                continue
            decoded = torch.from_numpy(np.ascontiguousarray(numpy_decoder.decode_module(arrays, case, name)))
            same_bytes(ours[f"{case}.decoded"], decoded, f"{name} {label} {case} decoded, numpy")
            if can_decompress(their_scheme, w):
                same_bytes(ours[f"{case}.decoded"], their_decoded(their_scheme, stored), f"{name} {label} {case} decoded")
    return count


def inputs():
    generator = torch.Generator().manual_seed(2)
    normal = lambda rows, cols: torch.randn(rows, cols, generator=generator)
    cases = {
        "normal": normal(37, 256),
        "large": normal(5, 512) * 300,
        "zeros": torch.zeros(3, 128),
        "hostile": hostile(generator, 24, 512),
        "hostile_small": hostile(generator, 24, 256).clamp(-8, 8),
        "outlier": torch.where(torch.arange(128) == 5, -2000.0, normal(4, 128) * 1e-3),
        "subnormal": torch.full((2, 128), -3e-45),
        "one_row": normal(1, 128),
    }
    for i in range(6):
        cases[f"scale{i}"] = normal(11, 384) * 10.0 ** (3 * i - 9)
    for cols in (16, 33, 48, 7):
        cases[f"cols{cols}"] = normal(5, cols)
    return cases


def their_served(args, x, scale):
    x = x.unsqueeze(0)  # [batch, token, hidden]: of two dimensions they would take all as one token
    if args.dynamic is False:
        return fake_quantize(x, scale, torch.zeros(1, dtype=args.zp_dtype), args)[0]
    scales, zeros = compute_dynamic_scales_and_zp(x, args, None, global_scale=scale)
    return fake_quantize(x, scales, zeros, args, global_scale=scale)[0]


def calibrated_scale(args, amax):
    least, most = torch.tensor([-amax]), torch.tensor([0.0])
    return generate_gparam(least, most) if args.strategy == "tensor_group" else calculate_qparams(least, most, args)[0]


def check_inputs(name, args):
    cases = {case: x for case, x in inputs().items() if args.group_size is None or x.shape[1] % args.group_size == 0}
    count = 0
    for amax in (None,) if args.dynamic is True else (1e-6, 0.37, 8.0, 3000.0):
        scale = None if amax is None else calibrated_scale(args, amax)
        tensors = {f"{case}.input": x for case, x in cases.items()}
        if scale is not None:
            tensors.update({f"{case}.scale": scale.clone() for case in cases})
        ours, _ = run_probe("input", name, tensors=tensors)
        for case, x in cases.items():
            same_bytes(ours[f"{case}.quantized"], their_served(args, x, scale), f"{name} inputs {case}, calibrated {amax}")
            count += 1
    return count


# --- the tests -------------------------------------------------------------------------------------------------------


def check_config(name, scheme, group):
    ours = QuantizationScheme(targets=["Linear"], **group)
    for part in ("weights", "input_activations", "output_activations"):
        a, b = getattr(ours, part), getattr(scheme, part)
        assert (a is None) == (b is None), f"{name}: {part} of the config group is {a}, theirs {b}"
        for key in ("num_bits", "type", "symmetric", "strategy", "group_size", "dynamic", "block_structure", "scale_dtype"):
            mine, preset = getattr(a, key, None), getattr(b, key, None)
            assert mine == preset, f"{name}: {part} {key} of the config group is {mine}, theirs {preset}"
    calculated = theirs(scheme, torch.ones(256, 256))[1].format.value
    assert ours.format == calculated, f"{name}: format {ours.format}, theirs {calculated}"


def check_refusals(name, scheme):
    for value in (float("inf"), float("-inf"), float("nan")):
        w = torch.ones(128, 256)
        w[3, 130] = value
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "in")
            save_file({"model.proj.weight": w}, source)
            words = [PROBE, "encode", name, source, source + ".out", "compressed_tensors"]
            done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 1 and "model.proj: " in done.stderr and "row 3, column 130" in done.stderr, \
            f"{name}: {value} in a weight gives {done.returncode}, {done.stderr!r}"


def main():
    torch.manual_seed(5)
    torch.set_num_threads(1)  # small tensors: threads would only wait for each other
    formats = json.loads(subprocess.run([STRATA, "formats", "--json"], check=True, capture_output=True).stdout)["formats"]
    groups = {f["name"]: f["config_group"] for f in formats}
    table = schemes()
    unknown = set(groups) - set(table) - NOT_THEIRS
    assert not unknown, f"no scheme of compressed-tensors is stated for {sorted(unknown)}"
    missing = set(table) - set(groups)
    assert not missing, f"`strata formats` does not have {sorted(missing)}"
    cases = {**made_weights(), **trained_weights()}
    for name in sys.argv[2:] or table:
        scheme = table[name]
        weights = check_weights(name, scheme, cases)
        assert weights >= 18, f"{name}: only {weights} weights"
        args = scheme.input_activations
        quantized = check_inputs(name, args) if args is not None else 0
        check_config(name, scheme, groups[name])
        check_refusals(name, scheme)
        print(f"{name}: {weights} weights and {quantized} inputs equal compressed-tensors")


if __name__ == "__main__":
    main()
