"""Checkpoints and token files of any size, made without any package."""

import json
import os
import random
import struct


def framed(header):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def mlp_shapes(prefix, hidden, inner):
    return {prefix + "gate_proj.weight": [inner, hidden], prefix + "up_proj.weight": [inner, hidden],
            prefix + "down_proj.weight": [hidden, inner]}


def write_model(folder, hidden, inner, layers, vocabulary, experts=0, **changes):
    """A Llama, or with experts a Qwen3-MoE, with plausible BF16 values; `changes` go into its config."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
              "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": hidden // 64,
              "num_key_value_heads": hidden // 128, "rms_norm_eps": 1e-6, "vocab_size": vocabulary,
              "max_position_embeddings": 4096, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False}
    if experts:
        config.update({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_experts": experts,
                       "num_experts_per_tok": 2, "moe_intermediate_size": inner, "head_dim": 64, "norm_topk_prob": True,
                       "decoder_sparse_step": 1, "mlp_only_layers": [], "attention_bias": False})
    config.update(changes)
    shapes = {"model.embed_tokens.weight": [vocabulary, hidden], "lm_head.weight": [vocabulary, hidden],
              "model.norm.weight": [hidden]}
    for i in range(layers):
        p = f"model.layers.{i}."
        shapes.update({p + "input_layernorm.weight": [hidden], p + "post_attention_layernorm.weight": [hidden],
                       p + "self_attn.q_proj.weight": [hidden, hidden], p + "self_attn.o_proj.weight": [hidden, hidden],
                       p + "self_attn.k_proj.weight": [hidden // 2, hidden], p + "self_attn.v_proj.weight": [hidden // 2, hidden]})
        if experts:
            shapes.update({p + "self_attn.q_norm.weight": [64], p + "self_attn.k_norm.weight": [64],
                           p + "mlp.gate.weight": [experts, hidden]})
            for e in range(experts):
                shapes.update(mlp_shapes(f"{p}mlp.experts.{e}.", hidden, inner))
        else:
            shapes.update(mlp_shapes(p + "mlp.", hidden, inner))
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    generator = random.Random(5)
    # Sign, exponent 0x3c80..0x3cff and random mantissas: magnitudes around 0.02.
    block = b"".join(struct.pack("<H", 0x3C80 | generator.getrandbits(7) | generator.getrandbits(1) << 15) for _ in range(1 << 16))
    os.makedirs(folder)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(framed(header))
        for start in range(0, offset, len(block)):
            file.write(block[:min(len(block), offset - start)])
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def write_ids(path, rows, columns, vocabulary):
    generator = random.Random(6)
    with open(path, "wb") as file:
        file.write(framed({"input_ids": {"dtype": "I64", "shape": [rows, columns], "data_offsets": [0, rows * columns * 8]}}))
        file.write(b"".join(struct.pack("<q", generator.randrange(vocabulary)) for _ in range(rows * columns)))
