"""Products of quantized experts: the CPU build of vLLM has none that run in float32.

install(emulation) replaces what vLLM's methods do after loading. They make the parameters and vLLM's loader fills them;
then the weights are decoded, kept as layer.emulated_experts, and multiplied one expert at a time, each product with its
input quantized as the method's GPU kernels do.
"""

import importlib

import torch
from vllm.model_executor.layers.fused_moe.oracle.nvfp4 import NvFp4MoeBackend
from vllm.model_executor.layers.quantization import mxfp4 as native_mxfp4

from . import decoders, inputs

METHODS = "vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors_moe.compressed_tensors_moe_"


class Experts:
    """w13 [experts, 2 * intermediate, hidden], gate above up; w2 [experts, hidden, intermediate]."""

    def __init__(self, w13, w2, quantize13, quantize2, emulation):
        self.w13, self.w2 = w13.float().contiguous(), w2.float().contiguous()
        self.quantize13, self.quantize2, self.emulation = quantize13, quantize2, emulation

    def __call__(self, x, weights, chosen):
        out = torch.zeros_like(x)
        x = self.emulation.apply(self.quantize13, x)
        for e in range(len(self.w13)):
            token, slot = torch.where(chosen == e)
            gate, up = torch.nn.functional.linear(x[token], self.w13[e].to(x.dtype)).chunk(2, -1)
            inner = self.emulation.apply(self.quantize2, torch.nn.functional.silu(gate) * up)
            y = torch.nn.functional.linear(inner, self.w2[e].to(x.dtype))
            out.index_add_(0, token, y * weights[token, slot, None].to(x.dtype))
        return out


def one_scale(scale):
    """The scale of the input that all experts must share: kernels take one."""
    values = scale.float().reshape(-1)
    assert torch.isfinite(values).all() and (values > 0).all() and (values == values[0]).all(), values
    return values[0]


def nvfp4(method, layer):
    def weight(name):
        packed, scale = getattr(layer, name + "_packed").data, getattr(layer, name + "_scale").data
        divisor = getattr(layer, name + "_global_scale").data.float().reshape(len(packed), -1)
        rows = divisor.repeat_interleave(packed.shape[1] // divisor.shape[1], 1)
        assert torch.isfinite(divisor).all() and (divisor > 0).all(), divisor
        return decoders.nvfp4(packed, scale, rows[..., None])

    quantizers = [None, None] if method.use_a16 else [
        inputs.nvfp4(one_scale(getattr(layer, name + "_input_global_scale").data)) for name in ("w13", "w2")]
    return weight("w13_weight"), weight("w2_weight"), *quantizers


def mxfp4(method, layer):
    weights = [decoders.mxfp4(getattr(layer, name + "_packed").data, getattr(layer, name + "_scale").data)
               for name in ("w13_weight", "w2_weight")]
    return *weights, inputs.mxfp4, inputs.mxfp4


def mxfp4_fp8(method, layer):
    return *mxfp4(method, layer)[:2], inputs.fp8_groups(), inputs.fp8_groups()


def mxfp8(method, layer):
    weights = [decoders.mxfp8(getattr(layer, name).data, getattr(layer, name + "_scale").data)
               for name in ("w13_weight", "w2_weight")]
    return *weights, inputs.mxfp8, inputs.mxfp8


def fp8(method, layer):
    def weight(name):
        codes, scale = getattr(layer, name).data, getattr(layer, name + "_scale").data.float()
        if method.block_quant:
            return decoders.fp8_blocks(codes, scale)
        if scale.dim() == 3:  # a row
            return codes.float() * scale
        scale = scale.reshape(len(codes), -1)  # a tensor: of gate and up, of down
        return codes.float() * scale.repeat_interleave(codes.shape[1] // scale.shape[1], 1)[..., None]

    if method.static_input_scales:
        quantizers = [inputs.fp8_tensor(one_scale(getattr(layer, name + "_input_scale").data)) for name in ("w13", "w2")]
    else:
        quantizers = [inputs.fp8_groups() if method.block_quant else inputs.fp8_token() for _ in range(2)]
    return weight("w13_weight"), weight("w2_weight"), *quantizers


def int8(method, layer):
    weights = [getattr(layer, name).data.float() * getattr(layer, name + "_scale").data.float()
               for name in ("w13_weight", "w2_weight")]
    return *weights, inputs.int8_token, inputs.int8_token


def integers(method, layer):
    def weight(name):
        zeros = None if method.symmetric else getattr(layer, name + "_zero_point").data
        return decoders.integers(getattr(layer, name + "_packed").data, method.num_bits,
                                 getattr(layer, name + "_scale").data, zeros)

    return weight("w13_weight"), weight("w2_weight"), None, None


def replace(file, name, decode, emulation):
    module = importlib.import_module(METHODS + file)
    method = getattr(module, name)

    def process(self, layer):
        layer.emulated_experts = Experts(*decode(self, layer), emulation)

    def apply(self, layer, x, topk_weights, topk_ids, shared_experts=None, shared_experts_input=None):
        return layer.emulated_experts(x, topk_weights, topk_ids)

    method.process_weights_after_loading = process
    method.apply = apply
    method.is_monolithic = False
    method.get_fused_moe_quant_config = lambda self, layer: None
    return module


def install(emulation):
    module = replace("w4a4_nvfp4", "CompressedTensorsW4A4Nvfp4MoEMethod", nvfp4, emulation)
    module.select_nvfp4_moe_backend = lambda **_: (NvFp4MoeBackend.EMULATION, None)
    replace("w4a4_mxfp4", "CompressedTensorsW4A4Mxfp4MoEMethod", mxfp4, emulation)
    replace("w4a8_mxfp4", "CompressedTensorsW4A8Mxfp4MoEMethod", mxfp4_fp8, emulation)
    native_mxfp4.select_mxfp4_moe_backend = native_mxfp4.select_deepseek_v4_mxfp4_moe_backend = lambda *_, **__: (None, None)
    module = replace("w8a8_mxfp8", "CompressedTensorsW8A8Mxfp8MoEMethod", mxfp8, emulation)
    module.select_mxfp8_moe_backend = lambda **_: (None, None)
    module = replace("w8a8_fp8", "CompressedTensorsW8A8Fp8MoEMethod", fp8, emulation)
    module.select_fp8_moe_backend = lambda **_: (None, None)
    module = replace("w8a8_int8", "CompressedTensorsW8A8Int8MoEMethod", int8, emulation)
    module.select_int8_moe_backend = lambda **_: (None, None)
    module = replace("wna16", "CompressedTensorsWNA16MoEMethod", integers, emulation)
    module.select_wna16_moe_backend = lambda **_: (module.WNA16MoEBackend.MARLIN, None)
    module.check_moe_marlin_supports_config = lambda *_, **__: True
