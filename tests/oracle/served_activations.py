"""Makes a transformers model quantize the inputs of its Linears as the served checkpoint would.

attach(model, folder): every Linear (also inside fused experts) that the checkpoint's config quantizes with
input_activations gets compressed-tensors' own fake_quantize in front. Written from the config alone.
"""

import json
import os
import re

import numpy_decoder
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp


def quantizer(args, global_scale, static_scale):
    args = QuantizationArgs(**args)

    def quantize(x):
        if x.numel() == 0:
            return x
        # [1, tokens, columns]: with two dimensions compressed-tensors takes one scale for all tokens.
        value = x.reshape(1, -1, x.shape[-1])
        if static_scale is not None:
            return fake_quantize(value, static_scale, None, args).reshape(x.shape)
        scale, zero = compute_dynamic_scales_and_zp(value=value, args=args, module=torch.nn.Linear(1, 1), global_scale=global_scale)
        return fake_quantize(value, scale, zero, args, global_scale=global_scale).reshape(x.shape)

    return quantize


def expert_forward(module, quantizers):
    def forward(hidden, top_k_index, top_k_weights):
        out = torch.zeros_like(hidden)
        half = module.gate_up_proj.shape[1] // 2
        for e in range(module.gate_up_proj.shape[0]):
            token, slot = torch.where(top_k_index == e)
            if token.numel() == 0:
                continue
            x = hidden[token]
            gate = torch.nn.functional.linear(quantizers[e, "gate"](x), module.gate_up_proj[e, :half])
            up = torch.nn.functional.linear(quantizers[e, "up"](x), module.gate_up_proj[e, half:])
            y = torch.nn.functional.linear(quantizers[e, "down"](module.act_fn(gate) * up), module.down_proj[e])
            out.index_add_(0, token, y * top_k_weights[token, slot, None])
        return out

    return forward


def attach(model, folder):
    groups = json.load(open(os.path.join(folder, "config.json")))["quantization_config"]["config_groups"]
    tensors = numpy_decoder.read_checkpoint(folder)
    modules, experts = dict(model.named_modules()), {}
    for base in sorted({name.rsplit(".", 1)[0] for name in tensors if name.endswith(".weight_scale")}):
        group = next(g for g in groups.values() if any(re.match(t[3:], base) for t in g["targets"]))
        if not group.get("input_activations"):
            continue
        found = {name: torch.from_numpy(numpy_decoder.as_float32(tensors, f"{base}.{name}").copy())
                 for name in ("input_global_scale", "input_scale") if f"{base}.{name}" in tensors}
        quantize = quantizer(group["input_activations"], found.get("input_global_scale"), found.get("input_scale"))
        expert = re.match(r"(.*\.experts)\.(\d+)\.(gate|up|down)_proj$", base)
        if expert:
            experts.setdefault(expert[1], {})[int(expert[2]), expert[3]] = quantize
        else:
            modules[base].register_forward_pre_hook(lambda _, x, quantize=quantize: (quantize(x[0]),) + tuple(x[1:]))
    for name, quantizers in experts.items():
        modules[name].forward = expert_forward(modules[name], quantizers)
