"""A random mixture of experts in bfloat16 whose layers are small and whose shapes fit every number format.

write(folder, layers, tied): the even layers have a dense MLP, the odd ones experts; a tied one stores its one matrix as
the embedding or as the head. No tokenizer: data is token ids. What a
layer adds is small beside what it passes on, as in trained models: a code that flips must not grow from layer to layer.
"""

import json
import os

import torch
from safetensors.torch import save_file

HIDDEN, INNER, HEADS, KV_HEADS, HEAD, EXPERTS, VOCABULARY = 256, 256, 4, 2, 64, 4, 256
ADDED = 0.1 * INNER**-0.5


def write(folder, layers, tied=None, seed=1):
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape, scale=None):
        scale = shape[-1] ** -0.5 if scale is None else scale
        return (torch.randn(shape, generator=generator) * scale).to(torch.bfloat16)

    def norm(size):
        return 1 + noise(size, scale=0.2)

    def mlp(prefix):
        return {f"{prefix}.gate_proj.weight": noise(INNER, HIDDEN), f"{prefix}.up_proj.weight": noise(INNER, HIDDEN),
                f"{prefix}.down_proj.weight": noise(HIDDEN, INNER, scale=ADDED)}

    tensors = {"model.embed_tokens.weight": noise(VOCABULARY, HIDDEN, scale=1), "model.norm.weight": norm(HIDDEN) * (0.2 if tied else 1),  # or it would be sure of every token
               "lm_head.weight": noise(VOCABULARY, HIDDEN)}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        tensors |= {f"{at}.input_layernorm.weight": norm(HIDDEN), f"{at}.post_attention_layernorm.weight": norm(HIDDEN),
                    f"{at}.self_attn.q_norm.weight": norm(HEAD), f"{at}.self_attn.k_norm.weight": norm(HEAD),
                    f"{at}.self_attn.q_proj.weight": noise(HEADS * HEAD, HIDDEN),
                    f"{at}.self_attn.k_proj.weight": noise(KV_HEADS * HEAD, HIDDEN),
                    f"{at}.self_attn.v_proj.weight": noise(KV_HEADS * HEAD, HIDDEN),
                    f"{at}.self_attn.o_proj.weight": noise(HIDDEN, HEADS * HEAD, scale=ADDED)}
        if layer % 2 == 0:
            tensors |= mlp(f"{at}.mlp")
            continue
        tensors[f"{at}.mlp.gate.weight"] = noise(EXPERTS, HIDDEN)
        for expert in range(EXPERTS):
            tensors |= mlp(f"{at}.mlp.experts.{expert}")
    if tied:
        del tensors["lm_head.weight" if tied == "embedding" else "model.embed_tokens.weight"]
    config = dict(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", attention_bias=False,
                  decoder_sparse_step=1, dtype="bfloat16", head_dim=HEAD, hidden_act="silu", hidden_size=HIDDEN,
                  intermediate_size=INNER, max_position_embeddings=256, mlp_only_layers=list(range(0, layers, 2)),
                  moe_intermediate_size=INNER, norm_topk_prob=True, num_attention_heads=HEADS, num_experts=EXPERTS,
                  num_experts_per_tok=2, num_hidden_layers=layers, num_key_value_heads=KV_HEADS, rms_norm_eps=1e-6,
                  rope_theta=1e4, tie_word_embeddings=tied is not None, vocab_size=VOCABULARY)
    os.makedirs(folder)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
