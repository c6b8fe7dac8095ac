"""compressed-tensors' own arithmetic for the number formats of the program, in float32.

The rules are the same but for the stored scales, see stored_scales.
"""

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

FP4 = dict(num_bits=4, type="float", symmetric=True, strategy="tensor_group", group_size=16,
           scale_dtype=torch.float8_e4m3fn)
ARGS = {
    "NVFP4": (QuantizationArgs(**FP4), QuantizationArgs(**FP4, dynamic="local"), "nvfp4-pack-quantized"),
    "NVFP4A16": (QuantizationArgs(**FP4), None, "nvfp4-pack-quantized"),
    "W4A16": (QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=128), None, "pack-quantized"),
    "FP8_DYNAMIC": (QuantizationArgs(num_bits=8, type="float", strategy="channel"),
                    QuantizationArgs(num_bits=8, type="float", strategy="token", dynamic=True), "float-quantized"),
}


def hostile(generator, rows=12, cols=512):
    w = torch.randn(rows, cols, generator=generator) * 0.02
    w[0] = 0
    w[1, 0] = 1000.0
    w[2] = 2.0**-140
    w[3, ::2] = -0.0
    w[4] = torch.arange(cols).float().remainder(15) - 7.0  # ties of int4 when the scale is a half
    w[4, 0], w[4, 128], w[4, 256], w[4, 384] = 7.5, -7.5, 15.0, -15.0
    w[5] = (torch.arange(cols).float().remainder(25) - 12) * 0.25  # ties of E2M1
    w[5, 0::16] = 6.0
    w[6] *= torch.logspace(-30, 3, cols)
    w[7] = -torch.abs(w[7])
    w[8, :256] = 0
    w[9] = 448.0 * torch.linspace(-1, 1, cols)
    w[10] = 3.0e38
    w[11] = torch.randn(cols, generator=generator) * 2.0**-120
    return w


def their_parameters(name, w):
    """Scales as calculate_qparams gives them in float32."""
    args = ARGS[name][0]
    if name.startswith("NVFP4"):
        global_scale = generate_gparam(w.min(), w.max())
        groups = w.unflatten(-1, (-1, 16))
        scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), args, global_scale)
        return scale, global_scale
    if name == "W4A16":
        groups = w.unflatten(-1, (-1, 128))
        return calculate_qparams(groups.amin(-1), groups.amax(-1), args)[0], None
    return calculate_qparams(w.amin(-1, keepdim=True), w.amax(-1, keepdim=True), args)[0], None


def stored_scales(name, w):
    """Their scales, but as the program stores them: BF16 (W4A16, FP8_DYNAMIC); in NVFP4 a global scale of one
    rounding and 2^-9 for a group that is not zero while its scale rounds to zero (they take 0.125, which loses it)."""
    if not name.startswith("NVFP4"):
        scale = their_parameters(name, w)[0].to(torch.bfloat16)
        scale[scale == 0] = torch.finfo(torch.float32).eps
        return scale, None
    global_scale = (2688.0 / w.abs().max().double()).float().reshape(1)
    if not torch.isfinite(global_scale).all():
        global_scale = torch.ones(1)
    groups = w.unflatten(-1, (-1, 16))
    scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), ARGS[name][0], global_scale)
    peaks = groups.abs().amax(-1)
    lost = (peaks > 0) & ((global_scale * (peaks / 6)).clamp(max=448).to(torch.float8_e4m3fn).float() == 0)
    return torch.where(lost, torch.tensor(2.0**-9), scale), global_scale


def with_signed_zeros(fields, w):
    """Their fields with the sign of each weight at the codes of zero: the program keeps it, they drop that of -0."""
    packed = fields["weight_packed"]
    codes = torch.stack([packed & 15, packed >> 4], -1).flatten(1)
    codes = torch.where(codes & 7 == 0, w.signbit().to(torch.uint8) * 8, codes)
    return {**fields, "weight_packed": codes[:, 0::2] | codes[:, 1::2] << 4}


def compress(name, w, scale, global_scale):
    weight_args, input_args, layout = ARGS[name]
    scheme = QuantizationScheme(targets=["Linear"], weights=weight_args, input_activations=input_args, format=layout)
    state = {"weight": w.clone(), "weight_scale": scale}
    if global_scale is not None:
        state["weight_global_scale"] = global_scale
    return BaseCompressor.get_value_from_registry(layout).compress(state, scheme)
