"""Writes tests/golden/number/<format>.safetensors: what compressed-tensors makes of a few small weights and inputs.

    python tests/oracle/write_number_goldens.py

"<case>.source" is a float32 weight; its other tensors are the fields of compressed-tensors' own compressor, with the
exceptions that number_formats_test.py states (NVFP4: without, as its ScaleRule::compressed_tensors). "<case>.input", "<case>.scale" and "<case>.quantized" are activations
before and after fake_quantize. number_formats_test.py checks that the files are still what the package gives.
"""

import os
import sys

import torch
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp, generate_gparam
from safetensors.torch import save_file

import number_formats

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "number")


def golden(name):
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    weights = {"normal": torch.randn(6, 256, generator=generator) * 0.05, "hostile": number_formats.hostile(generator, 12, 512)}
    for case, w in weights.items():
        parameters = number_formats.their_parameters if name.startswith("NVFP4") else number_formats.stored_scales
        scale, global_scale = parameters(name, w)
        tensors[f"{case}.source"] = w
        for suffix, tensor in number_formats.compress(name, w, scale, global_scale).items():
            tensors[f"{case}.{suffix}"] = tensor.to(torch.int64) if suffix == "weight_shape" else tensor.clone()
    input_args = number_formats.ARGS[name][1]
    if input_args is None:
        return tensors
    for case, x in {"a": torch.randn(3, 128, generator=generator), "b": number_formats.hostile(generator, 12, 512)}.items():
        scale = generate_gparam(torch.tensor(-4.0), torch.tensor(0.0)) if name == "NVFP4" else None
        scales, zeros = compute_dynamic_scales_and_zp(x.unsqueeze(0), input_args, None, global_scale=scale)
        tensors[f"{case}.input"] = x
        tensors[f"{case}.quantized"] = fake_quantize(x.unsqueeze(0), scales, zeros, input_args, global_scale=scale)[0]
        if scale is not None:
            tensors[f"{case}.scale"] = scale
    return tensors


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for name in number_formats.ARGS:
        save_file({k: v.contiguous() for k, v in golden(name).items()}, os.path.join(FOLDER, name.lower() + ".safetensors"),
                  {"format": "pt"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
