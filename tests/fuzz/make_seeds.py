#!/usr/bin/env python3
"""make_seeds.py FOLDER: inputs for the fuzzers to start from, one folder a target.

They are real files, cut down so that a mutation hits something: the configs, tokenizers and headers of the models in
this repository and, where they are, of ../shared/fixtures. Nothing but the standard library.
"""
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = [ROOT / "demo", ROOT / "tests/golden", ROOT.parent / "shared/fixtures"]
LARGEST = 32768  # bytes of a seed; the fuzzers take no longer input
VOCABULARY = 400  # tokens of a tokenizer that is cut down
TYPES = {"BOOL": 8, "F4": 4, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
         "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64}


def files(*patterns):
    return sorted(path for source in SOURCES for pattern in patterns for path in source.rglob(pattern))


def objects(*patterns):
    for path in files(*patterns):
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            yield value


class Seeds:
    def __init__(self, folder):
        self.folder, self.seen = folder, set()

    def add(self, target, content):
        content = content if isinstance(content, bytes) else content.encode()
        if len(content) > LARGEST or (target, content) in self.seen:
            return
        self.seen.add((target, content))
        place = self.folder / target
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{len(self.seen):04}").write_bytes(content)


def printed(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def safetensors(entries):
    """A file of zeros with these (name, dtype, shape)."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, dtype, shape in entries:
        count = 1
        for size in shape:
            count *= size
        begin, end = end, end + count * TYPES[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = printed(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def add_safetensors(seeds):
    for path in files("*.safetensors"):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        entries = [(name, entry["dtype"], [min(size, 2) for size in entry["shape"]])
                   for name, entry in header.items() if name != "__metadata__"]
        seeds.add("safetensors", safetensors(entries[:6]))
    seeds.add("safetensors", safetensors([(dtype, dtype, [1, 2]) for dtype in TYPES] + [("empty", "F32", [0]),
                                                                                        ("scalar", "F32", [])]))


def add_indexes(seeds):
    for index in objects("*.safetensors.index.json"):
        seeds.add("index", printed(dict(index, weight_map=dict(list(index["weight_map"].items())[:20]))))


def smaller(config):
    """With few layers and experts, so that a fuzzer's checkpoint holds the whole model."""
    config = {key: smaller(value) if key == "text_config" else value for key, value in config.items()}
    for key, most in (("num_hidden_layers", 2), ("num_experts", 4), ("num_local_experts", 4),
                      ("num_experts_per_tok", 2)):
        if isinstance(config.get(key), int):
            config[key] = min(config[key], most)
    if isinstance(config.get("layer_types"), list):
        config["layer_types"] = config["layer_types"][:2]
    return config


def shorter(value):
    """Long lists of module names say the same as short ones."""
    if isinstance(value, dict):
        return {key: shorter(item) for key, item in value.items()}
    return [shorter(item) for item in value[:8]] if isinstance(value, list) else value


WEIGHTS = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 128, "dynamic": False}
EIGHT_BITS = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "channel", "dynamic": False}
TOKENS = dict(EIGHT_BITS, strategy="token", dynamic=True)
BLOCKS = dict(EIGHT_BITS, strategy="block", block_structure=[128, 128])
FOUR_BITS = dict(WEIGHTS, type="float", strategy="tensor_group", group_size=16)
MX = dict(FOUR_BITS, strategy="group", group_size=32)
GROUPS = [("pack-quantized", WEIGHTS, None), ("float-quantized", EIGHT_BITS, TOKENS),
          ("float-quantized", BLOCKS, TOKENS), ("nvfp4-pack-quantized", FOUR_BITS, dict(FOUR_BITS, dynamic="local")),
          ("mxfp4-pack-quantized", MX, None),
          ("int-quantized", dict(EIGHT_BITS, type="int"), dict(TOKENS, type="int")),
          ("naive-quantized", EIGHT_BITS, TOKENS)]


def add_configs(seeds):
    for config in objects("*config.json"):
        config = shorter(config)
        seeds.add("config", printed(config))
        seeds.add("config", printed(smaller(config)))
        if "quantization_config" in config or "compression_config" in config or "quantization" in config:
            seeds.add("quantization_config", printed(config))
    groups = {}
    for number, (form, weights, inputs) in enumerate(GROUPS):
        group = {"targets": [["Linear"], [f"re:.*[.]layers[.]{number}[.].*"], ["lm_head"]][number % 3],
                 "weights": weights, "input_activations": inputs, "format": form}
        groups[f"group_{number}"] = group
        seeds.add("quantization_config", printed({"quantization_config": {
            "quant_method": "compressed-tensors", "config_groups": {"group_0": group},
            "ignore": ["lm_head", "re:.*gate$"]}}))
    seeds.add("quantization_config", printed({"text_config": {"quantization_config": {
        "quant_method": "compressed-tensors", "format": "mixed-precision", "config_groups": groups, "ignore": []}}}))


def cut(tokenizer):
    """With the first tokens only, and the merges among them."""
    model = tokenizer["model"]
    vocabulary = {token: number for token, number in model["vocab"].items() if number < VOCABULARY}
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    merges = [merge for merge, pair in zip(model["merges"], pairs)
              if all(part in vocabulary for part in (*pair, "".join(pair)))]
    return dict(tokenizer, model=dict(model, vocab=vocabulary, merges=merges),
                added_tokens=tokenizer["added_tokens"][:3])


def add_tokenizers(seeds):
    for tokenizer in objects("tokenizer.json", "tokenizer/*.json"):
        tokenizer = tokenizer.get("tokenizer", tokenizer)
        if isinstance(tokenizer, str):
            tokenizer = json.loads(tokenizer)
        if isinstance(tokenizer.get("model"), dict) and isinstance(tokenizer["model"].get("vocab"), dict):
            seeds.add("tokenizer", printed(cut(tokenizer)))


def add_datasets(seeds):
    for path in files("*.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines()
        seeds.add("dataset", "\n".join(line for line in lines[:4] if len(line) < 2000))
    seeds.add("dataset", '{"text": "Hello"}\r\n\n'
              '{"messages": [{"role": "user", "content": "Hi"}]}\n  {"text": "\\u00e9"}')
    seeds.add("dataset", '\ufeff[\r\n "Hello, \\"world\\" []", {"text": "{"}, {"text": "a", "more": [{"b": [1, "]"]}]}\n]\n')
    seeds.add("dataset", '[]')


def add_assignments(seeds):
    modules = [f"model.layers.{layer}.{leaf}" for layer in range(2) for leaf in ("self_attn.q_proj", "mlp.down_proj")]
    lines = [f'    "{module}": {{"format": "{form}"}}'
             for module, form in zip(modules, ("NVFP4", "W4A16", "BF16", "KEEP"))]
    seeds.add("assignment", '{\n  "version": 1,\n  "linears": {\n' + ",\n".join(lines) + "\n  }\n}\n")
    seeds.add("assignment", '{"linears": {"lm_head": {"format": "KEEP"}}, "version": 1}')


def frame(codec, coded, count, planes):
    """A frame of the activation cache without the checksum of its values."""
    sizes = [len(plane) for plane in planes] + [0] * (4 - len(planes))
    return struct.pack("<BBHI4IQ", codec, coded, 0, count, *sizes, 0) + b"".join(planes)


def zstd_run(count):
    """A zstd frame of one byte that is repeated."""
    return struct.pack("<IBB", 0xFD2FB528, 0x20, count) + struct.pack("<I", count << 3 | 3)[:3] + b"x"


def add_boundaries(seeds):
    """[3, 4, 8] in blocks of two samples: frames of 64 and 32 values. The fuzzer repairs the checksums of the files
    whose first byte is 1 or 2; those with 3 are frames alone."""
    ramp = bytes(range(64))
    frames = {
        "raw": [frame(0, 0, count, [ramp[:count] * 4]) for count in (64, 32)],
        "bf16": [frame(1, 0, count, [ramp[:count] * 2]) for count in (64, 32)],
        "zstd": [frame(2, 0b1000, count, [ramp[:count]] * 3 + [zstd_run(count)])
                 for count in (64, 32)],
        "run": [frame(3, 0b11, count, [zstd_run(count)] * 2) for count in (64, 32)],
    }
    for pair in frames.values():
        header = struct.pack("<8sIB3x4q2I32s", b"strataB\n", 1, 0, 3, 4, 8, 2, 1 << 20, 4096,
                             b"00112233445566778899aabbccddeeff")
        blocks = [block.ljust(4096, b"\0") for block in (header, *pair)]
        index = b"".join(struct.pack("<QIB3xQ", 4096 * (i + 1), len(part), part[0], 0) for i, part in enumerate(pair))
        footer = struct.pack("<4Q8s", 3 * 4096, 2, 3 * 4096 + len(index) + 40, 0, b"strataE\n")
        for mode in range(3):
            seeds.add("boundary_file", bytes([mode]) + b"".join(blocks) + index + footer)
        for part in pair:
            seeds.add("boundary_file", b"\3" + part)


def add_journals(seeds):
    records = ['{"layer": 0, "tensors": {"model.layers.0.mlp.up_proj.weight": "1a2b"}}', '{"layer": 1}', ""]
    seeds.add("journal", "\1" + "\n".join(records) + "\n")
    seeds.add("journal", "\1" + "\n".join(records) + "\n" + "0123456789abcdef {")
    seeds.add("journal", "\0strata journal 1\n0123456789abcdef {}\n")
    seeds.add("journal", "\0strata journal 2\n")
    seeds.add("journal", "\0strata jou")


def main():
    seeds = Seeds(pathlib.Path(sys.argv[1]))
    for add in (add_safetensors, add_indexes, add_configs, add_tokenizers, add_datasets, add_assignments,
                add_boundaries, add_journals):
        add(seeds)
    print(f"{len(seeds.seen)} seeds")


if __name__ == "__main__":
    main()
