"""Products of quantized Linears that the CPU build of vLLM has no kernel for.

install(emulation) registers kernels with vLLM's own selection. Up to process_weights_after_loading everything is vLLM's:
the config parser, the choice of the scheme, the parameters, the weight loader. A kernel of ours decodes the weight once
and multiplies plain matrices.
"""

import torch
from vllm import _custom_ops as ops
from vllm.model_executor.kernels import linear as registry
from vllm.model_executor.kernels.linear.mixed_precision.MPLinearKernel import MPLinearKernel
from vllm.model_executor.kernels.linear.mxfp4.base import MxFp4LinearKernel
from vllm.model_executor.kernels.linear.mxfp8.Mxfp8LinearKernel import Mxfp8LinearKernel
from vllm.model_executor.kernels.linear.nvfp4.base import NvFp4LinearKernel, NvFp4LinearLayerConfig
from vllm.model_executor.kernels.linear.scaled_mm.ScaledMMLinearKernel import FP8ScaledMMLinearKernel
from vllm.model_executor.layers.quantization.compressed_tensors.schemes import compressed_tensors_w4a4_nvfp4 as nvfp4_scheme
from vllm.model_executor.layers.quantization.utils.quant_utils import kMxfp4Dynamic
from vllm.platforms import PlatformEnum

from . import decoders, inputs


class Product:
    """Mixed into vLLM's base classes. A subclass gives weight(layer) -> [out, in] and quantizer(layer)."""

    emulation = None

    @classmethod
    def is_supported(cls, compute_capability=None):
        return True, None

    @classmethod
    def can_implement(cls, config):
        return True, None

    @classmethod
    def get_min_capability(cls):
        return -1

    def process_weights_after_loading(self, layer):
        layer.emulated_weight = self.weight(layer)
        layer.emulated_input = self.quantizer(layer)

    def apply_weights(self, layer, x, bias=None):
        x = self.emulation.apply(layer.emulated_input, x)
        return torch.nn.functional.linear(x, layer.emulated_weight.to(x.dtype), bias)

    def quantizer(self, layer):
        return None


class Nvfp4(Product, NvFp4LinearKernel):
    def weight(self, layer):
        return decoders.nvfp4(layer.weight.data, layer.weight_scale.data, 1 / layer.weight_global_scale.data)

    def quantizer(self, layer):
        return inputs.nvfp4(layer.input_global_scale_inv.data)


class Nvfp4A16(Nvfp4):
    def quantizer(self, layer):
        return None


class Mxfp4(Product, MxFp4LinearKernel):
    def weight(self, layer):
        return decoders.mxfp4(layer.weight.data, layer.weight_scale.data)

    def quantizer(self, layer):
        return inputs.mxfp4 if self.config.activation_quant_key == kMxfp4Dynamic else inputs.fp8_groups()


class Mxfp8(Product, Mxfp8LinearKernel):
    def weight(self, layer):
        return decoders.mxfp8(layer.weight.data, layer.weight_scale.data)

    def quantizer(self, layer):
        return inputs.mxfp8


class Integers(Product, MPLinearKernel):
    def weight(self, layer):
        words, scale, zeros = self._get_weight_params(layer)
        return decoders.integers(words.data, self.config.weight_type.size_bits, scale.data,
                                 zeros.data if self.config.zero_points else None)


class Fp8(Product, FP8ScaledMMLinearKernel):
    """Static scales: the CPU build has no operator that quantizes so."""

    @classmethod
    def can_implement(cls, config):
        return config.activation_quant_key.scale.static, "only static scales of the input"

    def weight(self, layer):  # vLLM transposed it
        return layer.weight.data.float().t() * layer.weight_scale.data.float().reshape(-1, 1)

    def quantizer(self, layer):
        return inputs.fp8_tensor(layer.input_scale.data)

    def apply_scaled_mm(self, **_):
        raise NotImplementedError


class Fp8Blocks(Product, FP8ScaledMMLinearKernel):
    def weight(self, layer):
        return decoders.fp8_blocks(layer.weight.data, layer.weight_scale.data)

    def quantizer(self, layer):
        return inputs.fp8_groups()

    def apply_scaled_mm(self, **_):
        raise NotImplementedError


def static_scaled_fp8_quant(input, scale=None, *arguments, otherwise=ops.scaled_fp8_quant, **names):
    """The operator that quantizes with a given scale, of which the CPU build has only the name. vLLM calls it to give
    the weights of a merged matrix one scale."""
    if scale is None or scale.numel() != 1:
        return otherwise(input, scale, *arguments, **names)
    return (input.float() / scale.float()).clamp(-448, 448).to(torch.float8_e4m3fn), scale


def install(emulation):
    Product.emulation = emulation
    ops.scaled_fp8_quant = static_scaled_fp8_quant
    cpu = PlatformEnum.CPU
    registry._POSSIBLE_NVFP4_KERNELS[cpu] = [Nvfp4]
    registry._POSSIBLE_MXFP4_KERNELS[cpu] = [Mxfp4]
    registry._POSSIBLE_MXFP8_KERNELS[cpu] = [Mxfp8]
    registry._POSSIBLE_FP8_BLOCK_KERNELS[cpu] = [Fp8Blocks]
    registry._POSSIBLE_FP8_KERNELS[cpu].insert(0, Fp8)
    registry._POSSIBLE_KERNELS[cpu] = [Integers]  # the build's own has no float32
    choose = nvfp4_scheme.init_nvfp4_linear_kernel  # has a list of kernels of its own for 16-bit inputs
    nvfp4_scheme.init_nvfp4_linear_kernel = lambda use_a16=False: (
        Nvfp4A16(NvFp4LinearLayerConfig()) if use_a16 else choose(use_a16=False))
