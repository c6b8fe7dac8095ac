"""Checkpoints that compressed-tensors itself writes pass `strata verify`.

A dense Qwen3 (the trained fixture where it is there, else a tiny random one), a tiny one with a tied head, and a tiny
Qwen3-MoE whose experts are made Linears, as llm-compressor does before it quantizes: QuantizationConfig, apply_quantization_config, the scales of
calculate_qparams, compress_model, the safetensors and the config of ModelCompressor. Linears that are served as one
matrix share their global scales, as with llm-compressor; everything else is as that road leaves it: bare class
targets, exact names in ignore, BF16 scales of BF16 weights, input scales of their own for every expert, tokenizer files
that transformers writes anew. The tied outputs are checked again without the formats of their groups, as older writers left them.
"""

import json
import os
import shutil
import sys
import tempfile

import torch
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config
from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from starts import run_program

STRATA = sys.argv[1]
FIXTURE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "fixtures", "models", "qwen3-dense")
# group_size and blocks must divide the smallest Linear: 128 columns, 64 rows
COMMON = dict(vocab_size=256, hidden_size=256, intermediate_size=512, num_attention_heads=4, num_key_value_heads=2,
              head_dim=64, max_position_embeddings=64, tie_word_embeddings=False, num_hidden_layers=2)
DENSE = ["NVFP4", "NVFP4A16", "MXFP4", "MXFP4A16", "MXFP4XFP8", "MXFP6A16", "MXFP6A8", "MXFP8", "MXFP8A16", "FP8",
         "FP8_DYNAMIC", "FP8_BLOCK", "W4A16", "W4A16_ASYM", "W8A16", "INT8"]
MOE = ["NVFP4", "NVFP4A16", "MXFP4A16", "MXFP8", "FP8_DYNAMIC", "FP8", "W4A16", "W8A16", "INT8"]
TIED = ["W4A16", "W4A16_ASYM", "FP8_DYNAMIC", "FP8_BLOCK", "INT8", "NVFP4A16", "MXFP4A16"]
SIBLINGS = [("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")]
failures = []


def extremes(w, args):
    if args.strategy in ("tensor", "tensor_group") and args.group_size is None:
        return w.amin().reshape(1), w.amax().reshape(1)
    if args.strategy == "channel":
        return w.amin(-1, keepdim=True), w.amax(-1, keepdim=True)
    if args.strategy == "block":
        rows, cols = args.block_structure
        blocks = w.unflatten(0, (-1, rows)).unflatten(2, (-1, cols)).transpose(1, 2)
        return blocks.amin((2, 3)), blocks.amax((2, 3))
    groups = w.unflatten(-1, (-1, args.group_size))
    return groups.amin(-1), groups.amax(-1)


def shared_global_scales(model):
    """generate_gparam over all Linears that vLLM runs as one."""
    modules = dict(model.named_modules())
    scales = {}
    for name, module in modules.items():
        if not hasattr(module, "weight_global_scale"):
            continue
        stem, leaf = name.rsplit(".", 1)
        group = next((g for g in SIBLINGS if leaf in g), (leaf,))
        weights = [modules[f"{stem}.{member}"].weight for member in group]
        scales[name] = generate_gparam(min(w.min() for w in weights).reshape(1), max(w.max() for w in weights).reshape(1))
    return scales


def calibrate(model):
    scales = shared_global_scales(model)
    for name, module in model.named_modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None:
            continue
        if name in scales:
            module.weight_global_scale.data.copy_(scales[name])
        least, most = extremes(module.weight.data, scheme.weights)
        scale, zero = calculate_qparams(least, most, scheme.weights, scales.get(name))
        module.weight_scale.data.copy_(scale)
        if hasattr(module, "weight_zero_point"):
            module.weight_zero_point.data.copy_(zero)
        # experts see inputs of their own there
        expert = name.split(".experts.")[1].split(".")[0] if ".experts." in name else "0"
        peak = torch.tensor([3.0 + int(expert)], dtype=module.weight.dtype)
        if hasattr(module, "input_global_scale"):
            module.input_global_scale.data.copy_(generate_gparam(-peak, peak))
        if hasattr(module, "input_scale"):
            module.input_scale.data.copy_(calculate_qparams(-peak, peak, scheme.input_activations)[0])


class Expert(torch.nn.Module):
    def __init__(self, gate_up, down):
        super().__init__()
        rows = gate_up.shape[0] // 2
        for name, weight in (("gate_proj", gate_up[:rows]), ("up_proj", gate_up[rows:]), ("down_proj", down)):
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
            linear.weight.data.copy_(weight)
            setattr(self, name, linear)


def split_experts(model):
    for layer in model.model.layers:
        experts = layer.mlp.experts
        layer.mlp.experts = torch.nn.ModuleList(
            Expert(g.data, d.data) for g, d in zip(experts.gate_up_proj, experts.down_proj))


def dense_model(_):
    if os.path.isdir(FIXTURE):
        return AutoModelForCausalLM.from_pretrained(FIXTURE, dtype=torch.bfloat16)
    torch.manual_seed(1)
    return Qwen3ForCausalLM(Qwen3Config(**COMMON)).to(torch.bfloat16)


def moe_model(_):
    torch.manual_seed(2)
    model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**COMMON, moe_intermediate_size=256, num_experts=3, num_experts_per_tok=2))
    return model.to(torch.bfloat16)


def tied_model(_):
    torch.manual_seed(3)
    return Qwen3ForCausalLM(Qwen3Config(**{**COMMON, "tie_word_embeddings": True})).to(torch.bfloat16)


def save(model, folder):
    """One shard as it lies in memory: experts are Linears, which transformers would merge again."""
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    os.makedirs(folder)
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    model.config.save_pretrained(folder)


def write_tokenizer_config(folder, text):
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"written": text}, file)


def quantize(model, groups, out):
    """groups: preset -> targets."""
    config = QuantizationConfig(config_groups={
        f"group_{i}": preset_name_to_scheme(preset, targets) for i, (preset, targets) in enumerate(groups.items())},
        ignore=["lm_head", "re:.*mlp.gate$"])
    apply_quantization_config(model, config)
    calibrate(model)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    # the groups' formats are inferred while compressing
    compressor.quantization_config.format = ModelCompressor.from_pretrained_model(model).quantization_config.format
    save(model, out)
    compressor.update_config(out)
    write_tokenizer_config(out, "by transformers")


def forget_formats(out):
    """Groups as compressed-tensors before 0.11 wrote them."""
    path = os.path.join(out, "config.json")
    with open(path) as file:
        config = json.load(file)
    for group in config["quantization_config"]["config_groups"].values():
        del group["format"]
    with open(path, "w") as file:
        json.dump(config, file)


def verify(out, source, what):
    done = run_program([STRATA, "verify", out, "--source", source, "--deep", "--json"], capture_output=True, text=True)
    if done.returncode == 0:
        notes = json.loads(done.stdout)["notes"]
        print(f"{what}: ok" + (f", notes of {sorted({note['rule'] for note in notes})}" if notes else ""), flush=True)
    else:
        failures.append(what)
        print(f"{what}: FAILED: {done.stdout[:1500] if done.returncode == 6 else done.stderr}", flush=True)


def case(kind, make, groups, work):
    what = f"{kind} {'+'.join(groups)}"
    source, out = os.path.join(work, f"{kind}-source"), os.path.join(work, "out")
    model = make(kind)
    if kind == "moe":
        split_experts(model)
    if not os.path.isdir(source):
        save(model, source)
        write_tokenizer_config(source, "by its author")
    quantize(model, groups, out)
    verify(out, source, what)
    if kind == "tied" and len(groups) == 1:  # several formats have always had their names in the groups
        forget_formats(out)
        verify(out, source, what + " without formats")
    shutil.rmtree(out)


def main():
    torch.set_num_threads(1)
    wanted = sys.argv[2:]
    with tempfile.TemporaryDirectory() as work:
        for kind, make, presets in (("dense", dense_model, DENSE), ("moe", moe_model, MOE), ("tied", tied_model, TIED)):
            mixed = {"NVFP4A16": ["re:.*mlp.*_proj$"], "FP8_DYNAMIC": ["re:.*self_attn.*_proj$"]}
            for groups in [{preset: ["Linear"]} for preset in presets] + [mixed]:
                if not wanted or wanted[0] in f"{kind} {'+'.join(groups)}":
                    case(kind, make, groups, work)
    if failures:
        sys.exit(f"FAILED: {failures}")
    print("verify passes what compressed-tensors writes")


if __name__ == "__main__":
    main()
