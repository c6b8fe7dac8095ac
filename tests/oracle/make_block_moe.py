"""Writes a random Qwen3 whose matrices are cut into 128x128 blocks without a rest.

    make_block_moe.py OUT [dense]

Hidden 256, experts of width 256, keys and values of 128 rows; two layers, the first of them dense. With `dense` both
are. The weights are BF16 and the same at every run.
"""

import sys

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

SIZES = dict(vocab_size=256, hidden_size=256, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=64, max_position_embeddings=256, rms_norm_eps=1e-6,
             rope_parameters=dict(rope_type="default", rope_theta=1e6), tie_word_embeddings=False, bos_token_id=None,
             eos_token_id=None, pad_token_id=None)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=256, norm_topk_prob=True, mlp_only_layers=[0])


def build(dense=False):
    if dense:
        model = Qwen3ForCausalLM(Qwen3Config(**SIZES))
    else:
        model = Qwen3MoeForCausalLM(Qwen3MoeConfig(**SIZES, **EXPERTS))
    generator = torch.Generator().manual_seed(20)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("norm.weight"):
            parameter.data = 1 + 0.1 * noise
        elif "embed_tokens" in name:
            parameter.data = noise
        else:
            parameter.data = noise / parameter.shape[-1] ** 0.5
    return model.to(torch.bfloat16).eval()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build("dense" in sys.argv[2:]).save_pretrained(sys.argv[1])
