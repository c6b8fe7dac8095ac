"""A disk that is too small is found before the first weight is read: exit 4, both numbers, nothing left behind."""

import json
import os
import shutil
import struct

import program
from program import check, check_error, strata

HIDDEN, INNER = 4096, 16384  # a layer of about 540 MB in BF16


def shapes_of_layer(i):
    p = f"model.layers.{i}."
    return {p + "input_layernorm.weight": [HIDDEN], p + "post_attention_layernorm.weight": [HIDDEN],
            **{p + f"self_attn.{x}_proj.weight": [HIDDEN, HIDDEN] for x in "qkvo"},
            p + "mlp.gate_proj.weight": [INNER, HIDDEN], p + "mlp.up_proj.weight": [INNER, HIDDEN],
            p + "mlp.down_proj.weight": [HIDDEN, INNER]}


def write_hollow_llama(folder, at_least):
    """A Llama of zeros in a sparse file that says it is larger than the disk has room for."""
    shapes = {"model.embed_tokens.weight": [64, HIDDEN], "lm_head.weight": [64, HIDDEN], "model.norm.weight": [HIDDEN]}
    header, offset, layers = {}, 0, 0
    while offset <= at_least:
        shapes.update(shapes_of_layer(layers))
        layers += 1
        for name, shape in shapes.items():
            size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
            offset += size
        shapes = {}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(folder)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
                   "intermediate_size": INNER, "num_hidden_layers": layers, "num_attention_heads": 32,
                   "num_key_value_heads": 32, "rms_norm_eps": 1e-6, "vocab_size": 64, "max_position_embeddings": 64,
                   "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": False}, file)


def main():
    with program.folder() as work:
        model, out = os.path.join(work, "model"), os.path.join(work, "out")
        write_hollow_llama(model, shutil.disk_usage(work).free * 5 // 4)
        for command in ("quantize", "plan"):
            result = strata(command, model, "-o", out, "--scheme", "KEEP")
            check(result.code == 4, f"{command}: exit 4", result)
            check("of disk but" in result.err and "are free" in result.err, f"{command}: both numbers", result)
        check(sorted(os.listdir(work)) == ["model"], "nothing is left behind", os.listdir(work))
        check_error(strata("quantize", model, "-o", out, "--scheme", "KEEP", "--max-memory", "1MB"), 4, "smallest limit")
    program.finish()


main()
