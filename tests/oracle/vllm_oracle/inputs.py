"""What the kernels that vLLM calls on GPUs do to the inputs of quantized products: x [..., columns] -> x quantized and
dequantized, in float32.

Where vLLM has a reference in torch, that is called. MXFP4 is written from FlashInfer's kernel (0.7.4, mxfp4_quantize: the
power of two at or above amax / 6), INT8 of experts from vLLM's Triton kernel (per_token_quant_int8: amax / 127).
"""

import torch
from vllm.model_executor.layers.quantization.input_quant_fp8 import QuantFP8
from vllm.model_executor.layers.quantization.utils.mxfp8_utils import _mxfp8_e4m3_quantize_torch
from vllm.model_executor.layers.quantization.utils.nvfp4_emulation_utils import cast_to_fp4, ref_nvfp4_quant_dequant
from vllm.model_executor.layers.quantization.utils.quant_utils import GroupShape

from . import decoders


class Emulation:
    """Whether the emulated products quantize their inputs, as GPUs that have such products do, or leave them alone, as
    older ones do."""

    quantizes = True

    def apply(self, quantize, x):
        if quantize is None or not self.quantizes or x.numel() == 0:
            return x
        return quantize(x.reshape(-1, x.shape[-1]).float()).reshape(x.shape).to(x.dtype)


def nvfp4(global_scale):
    return lambda x: ref_nvfp4_quant_dequant(x, global_scale.float().reshape(1), 16)


def mxfp8(x):
    codes, scale = _mxfp8_e4m3_quantize_torch(x, False)
    return decoders.mxfp8(codes, scale)


def mxfp4(x):
    groups = x.unflatten(-1, (-1, 32))
    mantissa, exponent = torch.frexp(groups.abs().amax(-1, keepdim=True) / 6)
    scale = torch.ldexp(torch.ones(mantissa.shape), torch.where(mantissa == 0.5, exponent - 1, exponent).clamp(-126, 127))
    return (cast_to_fp4(groups / scale) * scale).flatten(-2)


def fp8(group_shape, scale=None):
    """Of a token, of groups, or with a given scale. Must be called while vLLM loads a model: it reads the config."""
    static = scale is not None
    quantizer = QuantFP8(static=static, group_shape=group_shape, use_ue8m0=False, compile_native=False)

    def quantize(x):
        codes, used = quantizer.forward_native(x, scale.float().reshape(1) if static else None)
        size = x.shape[-1] // used.shape[-1] if used.dim() == 2 else x.shape[-1]
        return decoders.grouped(codes.float(), used.expand(x.shape[0], -1), size)

    return quantize


def fp8_token():
    return fp8(GroupShape.PER_TOKEN)


def fp8_groups():
    return fp8(GroupShape(1, 128))


def fp8_tensor(scale):
    return fp8(GroupShape.PER_TENSOR, scale)


def int8_token(x):
    peak = x.abs().amax(-1, keepdim=True).clamp(min=1e-10)
    return (x * (127 / peak)).round() * (peak / 127)
