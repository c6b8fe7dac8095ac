"""Writes tiny random checkpoints with the outputs that transformers computes from them in float32.

    make_tiny_models.py OUT [NAME ...]

Each OUT/<name> is a model folder plus golden.safetensors: input_ids I64 [b, t]; boundary F32
[layers + 1, b, t, hidden], the hidden states before each layer and after the last; logits F32 [b, t,
vocabulary]; of a mixture of experts router_ids I64 [layers, b * t, k], the chosen experts in rising order, -1
where a layer has no router. tests/golden/models holds what this wrote.
"""

import json
import os
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

BATCH, VOCABULARY = 2, 128
SMALL = dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=None, eos_token_id=None, pad_token_id=None)
PLAIN_ROPE = dict(rope_type="default", rope_theta=1e6)
EXPERTS = dict(head_dim=32, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=32, norm_topk_prob=True,
               rope_parameters=PLAIN_ROPE, rms_norm_eps=1e-6, tie_word_embeddings=False)

# Every branch of the four families. Some eps are far above the usual 1e-6, so that a forgotten one is seen.
LLAMA3 = dict(head_dim=24, rms_norm_eps=1e-2, rope_parameters=dict(
    rope_type="llama3", rope_theta=1e4, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=32))
CASES = {
    # head_dim is not hidden / heads; all three regions of llama3; float32 on disk
    "llama": dict(kind="Llama", tokens=40, dtype=torch.float32, config=dict(LLAMA3, tie_word_embeddings=False)),
    # only model.embed_tokens.weight on disk
    "llama-tied": dict(kind="Llama", tokens=40, config=dict(LLAMA3, tie_word_embeddings=True)),
    "llama-bias": dict(kind="Llama", tokens=24, config=dict(
        attention_bias=True, mlp_bias=True, rope_parameters=dict(rope_type="default", rope_theta=1e4),
        tie_word_embeddings=False)),
    # linear rope, gelu, float16 on disk, only lm_head.weight on disk
    "llama-linear": dict(kind="Llama", tokens=24, dtype=torch.float16, head_only=True, config=dict(
        rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=4.0), hidden_act="gelu_pytorch_tanh",
        num_key_value_heads=4, tie_word_embeddings=True)),
    "mistral": dict(kind="Mistral", tokens=24, config=dict(
        head_dim=32, sliding_window=8, rope_parameters=dict(rope_type="default", rope_theta=1e4),
        tie_word_embeddings=False)),
    "qwen3": dict(kind="Qwen3", tokens=24, config=dict(
        head_dim=32, rms_norm_eps=1e-2, rope_parameters=PLAIN_ROPE, tie_word_embeddings=False)),
    "qwen3-moe": dict(kind="Qwen3Moe", tokens=24, shard="300KB", config=dict(
        EXPERTS, num_hidden_layers=3, mlp_only_layers=[0])),
    # weights of the chosen experts as they are
    "qwen3-moe-plain": dict(kind="Qwen3Moe", tokens=24, config=dict(EXPERTS, norm_topk_prob=False, mlp_only_layers=[0])),
    "qwen3-moe-step": dict(kind="Qwen3Moe", tokens=24, config=dict(
        EXPERTS, decoder_sparse_step=2, attention_bias=True, num_experts_per_tok=3)),
}


def randomise(model, generator, dtype):
    """Every parameter, so that no default (norms of one, biases of zero) hides a term; to values that dtype holds."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("norm.weight"):
            parameter.data = 1 + 0.3 * noise
        elif name.endswith(".bias"):
            parameter.data = 0.3 * noise
        elif "embed_tokens" in name:
            parameter.data = noise
        else:
            parameter.data = noise / parameter.shape[-1] ** 0.5
        parameter.data = parameter.data.to(dtype).float()
    model.tie_weights()


def build(case, seed):
    config = getattr(transformers, case["kind"] + "Config")(**dict(SMALL, **case["config"]))
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    model = getattr(transformers, case["kind"] + "ForCausalLM")(config).eval()
    randomise(model, torch.Generator().manual_seed(seed), case.get("dtype", torch.bfloat16))
    return model


def run(model, ids):
    """Logits, hidden states at the layer boundaries, and the router's logits by layer."""
    boundary, routers, hooks = [], {}, []
    for i, layer in enumerate(model.model.layers):
        hooks.append(layer.register_forward_pre_hook(lambda _, args: boundary.append(args[0].detach())))
        if hasattr(layer.mlp, "gate"):
            keep = lambda _, args, out, i=i: routers.__setitem__(i, out[0].detach())
            hooks.append(layer.mlp.gate.register_forward_hook(keep))
    last = []
    hooks.append(model.model.norm.register_forward_pre_hook(lambda _, args: last.append(args[0].detach())))
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits.float(), torch.stack(boundary + last), routers


def router_gap(routers, k):
    """The smallest distance between the last expert chosen and the first one left out."""
    gaps = [1.0]
    for logits in routers.values():
        top = logits.float().softmax(-1).topk(k + 1, dim=-1).values
        gaps.append(float((top[:, k - 1] - top[:, k]).min()))
    return min(gaps)


def golden(model, tokens, seed):
    ids = torch.randint(VOCABULARY, (BATCH, tokens), generator=torch.Generator().manual_seed(seed))
    logits, boundary, routers = run(model, ids)
    k = getattr(model.config, "num_experts_per_tok", 1)
    if router_gap(routers, k) <= 1e-4:
        return None
    result = dict(input_ids=ids, boundary=boundary.contiguous(), logits=logits.contiguous())
    if routers:
        chosen = torch.full((model.config.num_hidden_layers, BATCH * tokens, k), -1, dtype=torch.int64)
        for layer, scores in routers.items():
            chosen[layer] = scores.topk(k, dim=-1).indices.sort(-1).values
        result["router_ids"] = chosen
    return result


def keep_head_only(folder):
    """Stores a tied matrix under the head's name, as some files on the hub do."""
    path = os.path.join(folder, "model.safetensors")
    tensors = load_file(path)
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")
    save_file(tensors, path, metadata={"format": "pt"})


def write(folder, case):
    for seed in range(1, 100):
        model = build(case, seed)
        reference = golden(model, case["tokens"], seed)
        if reference:
            break
    else:
        sys.exit(f"{folder}: no seed with a clear choice of experts")
    os.makedirs(folder, exist_ok=True)
    model.to(case.get("dtype", torch.bfloat16)).save_pretrained(folder, max_shard_size=case.get("shard", "5GB"))
    os.remove(os.path.join(folder, "generation_config.json"))
    if case.get("head_only"):
        keep_head_only(folder)
    save_file(reference, os.path.join(folder, "golden.safetensors"))
    for name in os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o644)


def main():
    out, names = sys.argv[1], sys.argv[2:] or list(CASES)
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    for name in names:
        write(os.path.join(out, name), CASES[name])
        print(name, json.dumps({"transformers": transformers.__version__, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
