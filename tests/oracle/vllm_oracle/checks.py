"""Comparisons of one loaded checkpoint with what Strata says of it, and with an independent reading of its bytes.

Each gives a list of (what, value, limit).
"""

import json
import os
import re

import numpy as np
import numpy_decoder
import torch
from safetensors.numpy import load_file, save_file
from vllm import _custom_ops as ops

MEMBERS = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}
# Limits of float32 sums in another order, far below one code: a flipped FP4 code moves a product by 1e-3 and more.
PRODUCT, CODES, WEIGHTS = 2e-5, 1e-6, 1e-6


def log_softmax(x):
    x = x.astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def kl_of_positions(ours, theirs):
    """KL(ours || theirs) of log-probabilities, at each position."""
    return (np.exp(ours) * (ours - theirs)).sum(-1)


def kl(ours, theirs):
    return float(kl_of_positions(ours, theirs).mean())


def relative(got, expected):
    """The largest difference of a row in units of its largest value."""
    return float((np.abs(got - expected).max(-1) / np.abs(expected).max(-1).clip(1e-30)).max())


def members_of(name):
    parent, last = name.rsplit(".", 1) if "." in name else ("", name)
    return [f"{parent}.{member}" for member in MEMBERS[last]] if last in MEMBERS else [name]


def format_of(groups, module):
    """The config group that stores a module; None for a dense one."""
    return next((group for group in groups.values() if any(re.match(t[3:], module) for t in group["targets"])), None)


def stable_rows(quantize, x):
    """The rows of x none of whose codes moves when every value moves by 1e-5, where two roundings cannot differ, and
    these rows quantized. Every row is quantized by itself."""
    noise = np.random.default_rng(7)
    moved = [x * (1 + 1e-5 * noise.uniform(-1, 1, x.shape)) for _ in range(4)]
    codes, *others = np.split(quantize(np.concatenate([x, *moved]).astype(np.float32)), 5)
    slack = 1e-3 * np.abs(codes) + 1e-6 * np.abs(codes).max(-1, keepdims=True)
    stable = np.all([(np.abs(other - codes) <= slack).all(-1) for other in others], 0)
    return x[stable], codes[stable]


def codes_of(layer, x):
    """What vLLM multiplies with, where that can be asked for; else None."""
    given, kernel = torch.from_numpy(x), getattr(layer.scheme, "fp8_linear", None)
    if getattr(layer, "emulated_input", None) is not None:
        return layer.emulated_input(given).numpy()
    if hasattr(kernel, "quant_fp8"):
        codes, scale = kernel.quant_fp8(given)
        return (codes.float() * scale).numpy()
    if type(layer.scheme).__name__ == "CompressedTensorsW8A8Int8":
        codes, scale, _ = ops.onednn_scaled_int8_quant(given)
        return (codes.float() * scale).numpy()
    return None


def linears(session, tensors, groups, probe):
    """Single Linears on inputs away from rounding edges: codes of the inputs, and products, against Strata's rule for
    the inputs (`probe`) and the weights as numpy decodes them."""
    results, noise = [], np.random.default_rng(3)
    for name, layer in session.modules().items():
        group = format_of(groups, members_of(name)[0])
        if group is None or getattr(layer, "scheme", None) is None:
            continue
        weight = np.concatenate([numpy_decoder.decode_module(tensors, m, group) for m in members_of(name)])
        x = noise.standard_normal((24, weight.shape[1])).astype(np.float32)
        x *= np.exp(noise.standard_normal((24, 1))).astype(np.float32)
        x, quantized = stable_rows(probe.quantizer(tensors, members_of(name)[0], group), x)
        assert len(x) >= 4, f"{name}: {len(x)} rows away from rounding edges"
        theirs = codes_of(layer, x)
        if theirs is not None:
            results.append((f"{name}: codes of its input", relative(theirs, quantized), CODES))
        expected = quantized.astype(np.float64) @ weight.astype(np.float64).T
        results.append((f"{name}: product", relative(session.product(layer, x)[:, : len(weight)], expected), PRODUCT))
    return results


def experts(session, tensors, groups):
    """The weights of all experts as vLLM loaded them, against numpy's reading of the file."""
    results = []
    for name, layer in session.modules().items():
        held = getattr(layer, "emulated_experts", None)
        if held is None:
            continue
        base = re.sub(r"\.experts\..*$", ".experts", name)
        group = format_of(groups, f"{base}.0.gate_proj")
        apart = []
        for e in range(len(held.w13)):
            gate, up, down = (numpy_decoder.decode_module(tensors, f"{base}.{e}.{part}_proj", group)
                              for part in ("gate", "up", "down"))
            for got, expected in ((held.w13[e].numpy(), np.concatenate([gate, up])), (held.w2[e].numpy(), down)):
                apart.append(np.abs(got - expected).max() / np.abs(expected).max())
        # np.max gives NaN where one is.
        results.append((f"{base}: weights of {len(held.w13)} experts", float(np.max(apart)), WEIGHTS))
    return results


class Probe:
    """Strata's rules for inputs, by format_probe. run(arguments) gives what a program printed."""

    def __init__(self, strata, run, folder):
        self.program, self.run, self.folder = os.path.join(os.path.dirname(strata), "tests", "format_probe"), run, folder
        formats = json.loads(run([strata, "formats", "--json"]))["formats"]
        self.groups = [(f["config_group"], f["name"]) for f in formats if f["config_group"] and not f["source_only"]]

    def format_name(self, group):
        return next(name for known, name in self.groups
                    if all(known[key] == group[key] for key in ("format", "weights", "input_activations")))

    def quantizer(self, tensors, module, group):
        """x -> what Strata says that vLLM multiplies with."""
        name, scales = self.format_name(group), {}
        for suffix in ("input_global_scale", "input_scale"):
            if f"{module}.{suffix}" in tensors:
                scales["m.scale"] = numpy_decoder.as_float32(tensors, f"{module}.{suffix}").reshape(1)

        def quantize(x):
            source, out = os.path.join(self.folder, "probe.in"), os.path.join(self.folder, "probe.out")
            save_file({"m.input": np.ascontiguousarray(x, np.float32), **scales}, source)
            self.run([self.program, "input", name, source, out, "vllm"])
            return load_file(out)["m.quantized"]

        return quantize
