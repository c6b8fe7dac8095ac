#!/usr/bin/env python3
"""make_shapes.py CONFIG.json OUT: a checkpoint of names and shapes only, for `strata plan` and `inspect`.

Headers, index and config are those of the real model; where its values would be the files have holes, which take no
disk. Knows qwen3_moe, qwen3, llama and mistral, every tensor in the dtype that the config names.
  --shard-bytes N   tensor bytes of a shard (default 4 GB, as the models of the Hub have)
"""
import argparse
import json
import os
import struct

DTYPES = {"bfloat16": ("BF16", 2), "float16": ("F16", 2), "float32": ("F32", 4)}


def mlp(prefix, hidden, inner):
    return {f"{prefix}gate_proj.weight": [inner, hidden], f"{prefix}up_proj.weight": [inner, hidden],
            f"{prefix}down_proj.weight": [hidden, inner]}


def has_experts(config, layer):
    if config["model_type"] != "qwen3_moe" or layer in config.get("mlp_only_layers", []):
        return False
    return (layer + 1) % config.get("decoder_sparse_step", 1) == 0


def layer_shapes(config, layer):
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    wide = config.get("head_dim") or hidden // heads
    keys = config.get("num_key_value_heads", heads) * wide
    p = f"model.layers.{layer}."
    shapes = {f"{p}self_attn.q_proj.weight": [heads * wide, hidden], f"{p}self_attn.k_proj.weight": [keys, hidden],
              f"{p}self_attn.v_proj.weight": [keys, hidden], f"{p}self_attn.o_proj.weight": [hidden, heads * wide]}
    if config["model_type"].startswith("qwen3"):
        shapes.update({f"{p}self_attn.q_norm.weight": [wide], f"{p}self_attn.k_norm.weight": [wide]})
    shapes.update({f"{p}input_layernorm.weight": [hidden], f"{p}post_attention_layernorm.weight": [hidden]})
    if not has_experts(config, layer):
        return shapes | mlp(f"{p}mlp.", hidden, config["intermediate_size"])
    shapes[f"{p}mlp.gate.weight"] = [config["num_experts"], hidden]
    for expert in range(config["num_experts"]):
        shapes.update(mlp(f"{p}mlp.experts.{expert}.", hidden, config["moe_intermediate_size"]))
    return shapes


def model_shapes(config):
    """Name -> shape, in the order of the model."""
    if config["model_type"] not in ("qwen3_moe", "qwen3", "llama", "mistral"):
        raise SystemExit(f"make_shapes: model_type {config['model_type']}: known are qwen3_moe, qwen3, llama, mistral")
    table = [config["vocab_size"], config["hidden_size"]]
    shapes = {"model.embed_tokens.weight": table}
    for layer in range(config["num_hidden_layers"]):
        shapes.update(layer_shapes(config, layer))
    shapes["model.norm.weight"] = [config["hidden_size"]]
    return shapes if config.get("tie_word_embeddings") else shapes | {"lm_head.weight": table}


def cut_shards(sizes, most):
    shards, room = [], 0
    for name, size in sizes.items():
        if not shards or size > room:
            shards.append([])
            room = most
        shards[-1].append(name)
        room -= size
    return shards


def write_shard(path, dtype, shapes, sizes):
    header, end = {}, 0
    for name, shape in shapes.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + sizes[name]]}
        end += sizes[name]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)  # a hole


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("out")
    parser.add_argument("--shard-bytes", type=int, default=4_000_000_000)
    arguments = parser.parse_args()
    with open(arguments.config, encoding="utf-8") as file:
        config = json.load(file)
    dtype, element = DTYPES[config.get("torch_dtype") or config.get("dtype") or "bfloat16"]
    shapes = model_shapes(config)
    sizes = {name: element * shape[0] * (shape[1] if len(shape) > 1 else 1) for name, shape in shapes.items()}
    shards = cut_shards(sizes, arguments.shard_bytes)
    os.makedirs(arguments.out)
    places = {}
    for number, names in enumerate(shards, 1):
        shard = f"model-{number:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else "model.safetensors"
        write_shard(os.path.join(arguments.out, shard), dtype, {name: shapes[name] for name in names}, sizes)
        places.update({name: shard for name in names})
    if len(shards) > 1:
        with open(os.path.join(arguments.out, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
            json.dump({"metadata": {"total_size": sum(sizes.values())}, "weight_map": places}, file)
    with open(os.path.join(arguments.out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
    print(f"{arguments.out}: {len(shapes)} tensors of {sum(sizes.values())} bytes in {len(shards)} shards")


if __name__ == "__main__":
    main()
