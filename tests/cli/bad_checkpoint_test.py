"""Broken models and data: one line on stderr, the right exit code, nothing written."""

import json
import os
import shutil
import struct

from program import MODEL, check, finish, folder, strata

INDEX = "model.safetensors.index.json"
FIRST, SECOND, THIRD = (f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3))


def read_shard(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), file.read()


def write_shard(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def edit_header(model, change, shard=FIRST):
    path = os.path.join(model, shard)
    header, data = read_shard(path)
    write_shard(path, change(header) or header, data)


def edit_json(model, name, change):
    path = os.path.join(model, name)
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    change(value)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def write(model, name, content):
    with open(os.path.join(model, name), "wb") as file:
        file.write(content)


def cut(model, name, size):
    os.truncate(os.path.join(model, name), size)


def some_tensor(header, at=0):
    """A tensor of at least two elements: its name and entry."""
    names = [name for name, entry in header.items() if name != "__metadata__" and entry["data_offsets"][1] > entry["data_offsets"][0] + 8]
    return names[at], header[names[at]]


def with_shape(shape):
    def change(header):
        some_tensor(header)[1]["shape"] = shape
    return lambda model: edit_header(model, change)


def with_offsets(begin, end):
    def change(header):
        entry = some_tensor(header)[1]
        old = entry["data_offsets"]
        entry["data_offsets"] = [old[0] + begin, old[1] + end]
    return lambda model: edit_header(model, change)


def overlap(header):
    names = sorted((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"])
    for before, after in zip(names, names[1:]):
        a, b = header[before], header[after]
        if a["data_offsets"][1] - a["data_offsets"][0] == b["data_offsets"][1] - b["data_offsets"][0]:
            b["data_offsets"] = a["data_offsets"]
            return
    raise AssertionError("no two tensors of one size")


def twice_in_header(header):
    name, entry = some_tensor(header)
    text = json.dumps(header)
    return (text[:-1] + f', "{name}": {json.dumps(entry)}}}').encode()


def twice_in_shards(model):
    header, data = read_shard(os.path.join(model, FIRST))
    name, entry = some_tensor(header)
    size = entry["data_offsets"][1] - entry["data_offsets"][0]
    second, more = read_shard(os.path.join(model, SECOND))
    second[name] = dict(entry, data_offsets=[len(more), len(more) + size])
    write_shard(os.path.join(model, SECOND), second, more + bytes(size))


def link_out(name):
    def change(model):
        path = os.path.join(model, name)
        outside = os.path.join(os.path.dirname(model), "outside")
        shutil.move(path, outside)
        os.symlink(outside, path)
    return change


def bins_only(model):
    for name in (FIRST, SECOND, THIRD, INDEX):
        os.remove(os.path.join(model, name))
    write(model, "pytorch_model.bin", b"PK")


def unlink(*names):
    return lambda model: [os.remove(os.path.join(model, name)) for name in names]


def unfinished(model):
    os.rename(os.path.join(model, SECOND), os.path.join(model, SECOND + ".incomplete"))


def index(change):
    return lambda model: edit_json(model, INDEX, lambda value: change(value["weight_map"]))


def config(**changes):
    return lambda model: edit_json(model, "config.json", lambda value: value.update(changes))


# What is broken, how, and what the message must say.
CASES = [
    ("a cut shard", lambda m: cut(m, THIRD, os.path.getsize(os.path.join(m, THIRD)) - 5), [THIRD, "incomplete"]),
    ("a shard cut inside its header", lambda m: cut(m, THIRD, 100), [THIRD, "the header has", "only 92"]),
    ("an empty shard", lambda m: cut(m, THIRD, 0), [THIRD, "has 0 bytes"]),
    ("a Git LFS pointer", lambda m: write(m, FIRST, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
     [FIRST, "Git LFS pointer", "git lfs pull"]),
    ("not a safetensors file", lambda m: write(m, FIRST, b"PK\3\4" + b"x" * 100), [FIRST, "not a safetensors file"]),
    ("a header length of 2^64 - 1", lambda m: write(m, FIRST, b"\xff" * 64), [FIRST, "18446744073709551615", "100000000"]),
    ("a header that is no JSON", lambda m: write_shard(os.path.join(m, FIRST), b'{"a": ', b""), [FIRST, "JSON"]),
    ("a header with a control character in a name",
     lambda m: write_shard(os.path.join(m, FIRST), {"a\nb": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}, b""),
     [FIRST, "control character"]),
    ("overlapping tensors", lambda m: edit_header(m, overlap), [FIRST, "tensor", "overlap"]),
    ("a tensor that ends early", with_offsets(0, -2), [FIRST, "bytes, but its offsets span"]),
    ("a hole", lambda m: edit_header(m, lambda h: h.pop(some_tensor(h)[0]) and None), [FIRST, "belong to no tensor"]),
    ("offsets past 2^63", with_offsets(2**63, 2**63), [FIRST, "data_offsets holds"]),
    ("a shape that overflows", with_shape([2**40, 2**40]), [FIRST, "1099511627776"]),
    ("a negative dimension", with_shape([-1, 4]), [FIRST, "shape holds -1"]),
    ("a dimension in quotes", with_shape(["4"]), [FIRST, 'shape holds "4"']),
    ("a dimension of 2^64", with_shape([2**64]), [FIRST]),
    ("a shape that does not make the bytes", with_shape([3]), [FIRST, "[3] of", "but its offsets span"]),
    ("an unknown dtype", lambda m: edit_header(m, lambda h: some_tensor(h)[1].update(dtype="F8_X")), [FIRST, "dtype F8_X is unknown"]),
    ("a tensor twice in a header", lambda m: edit_header(m, twice_in_header), [FIRST, "stands twice in the header"]),
    ("a tensor in two shards", twice_in_shards, [FIRST, SECOND]),
    ("metadata that is no text", lambda m: edit_header(m, lambda h: h.update(__metadata__={"format": 1})), [FIRST, "__metadata__"]),
    ("a missing shard", unlink(SECOND), [SECOND, "is missing", "names 3 shards, 1 of them"]),
    ("an unfinished download", unfinished, [SECOND, "is missing", ".incomplete is an unfinished download"]),
    ("a missing index", unlink(INDEX), [INDEX, "is missing", "3 of them"]),
    ("a broken index", lambda m: write(m, INDEX, b"{"), [INDEX]),
    ("an index without weight_map", lambda m: write(m, INDEX, b"{}"), [INDEX, "weight_map"]),
    ("an index entry without tensor", index(lambda w: w.update(ghost=FIRST)), [INDEX, "tensor ghost", FIRST]),
    ("a tensor without index entry", index(lambda w: w.pop("model.norm.weight")), [INDEX, "model.norm.weight"]),
    ("an index entry with the wrong shard",
     index(lambda w: w.update({"model.norm.weight": FIRST if w["model.norm.weight"] != FIRST else SECOND})),
     [INDEX, "model.norm.weight should stand in"]),
    ("an index that leaves the folder", index(lambda w: w.update({"model.norm.weight": "../secret.safetensors"})),
     [INDEX, "../secret.safetensors", "plain name"]),
    ("an index with an absolute path", index(lambda w: w.update({"model.norm.weight": "/etc/passwd"})), [INDEX, "/etc/passwd"]),
    ("a shard that links out of the folder", link_out(FIRST), [FIRST, "leaves the folder"]),
    ("a sidecar that links out of the folder", link_out("tokenizer.json"), ["tokenizer.json", "leaves the folder"]),
    ("a config that links out of the folder", link_out("config.json"), ["config.json", "leaves the folder"]),
    ("PyTorch files only", bins_only, ["pytorch_model.bin", "safetensors"]),
    ("no config", unlink("config.json"), ["not a checkpoint", "config.json"]),
    ("a config that is no JSON", lambda m: write(m, "config.json", b'{"hidden_size": NaN}'), ["config.json", "broken JSON at byte"]),
    ("a config with a comment", lambda m: write(m, "config.json", b"{} // dense"), ["config.json", "broken JSON"]),
    ("a config with a key twice", lambda m: write(m, "config.json", b'{"a": 1, "a": 2}'), ["config.json", '"a" stands twice']),
    ("a config that is a list", lambda m: write(m, "config.json", b"[]"), ["config.json", "expected a JSON object"]),
]

# Headers and files are right, but the model is not: `inspect` need not see it.
MODEL_CASES = [
    ("a mistyped value", config(hidden_size="64"), ["config.json", "hidden_size", '"64"', "expected an integer"]),
    ("a missing value", lambda m: edit_json(m, "config.json", lambda v: v.pop("num_hidden_layers")), ["config.json", "num_hidden_layers is missing"]),
    ("a layer too many", config(num_hidden_layers=99), ["99"]),
    ("an unknown family", config(architectures=["NoSuchForCausalLM"], model_type="no_such"), ["NoSuchForCausalLM"]),
]


def nan_in(model):
    """Puts a NaN into an expert's weight; gives the tensor's name."""
    for shard in (FIRST, SECOND, THIRD):
        path = os.path.join(model, shard)
        header, data = read_shard(path)
        for name, entry in header.items():
            if name.endswith("experts.1.up_proj.weight"):
                nan = {"BF16": b"\xc0\x7f", "F16": b"\x00\x7e", "F32": b"\0\0\xc0\x7f"}[entry["dtype"]]
                at = entry["data_offsets"][0] + 10 * len(nan)
                write_shard(path, header, data[:at] + nan + data[at + len(nan):])
                return name
    raise AssertionError("no expert")


def refused(result, name, texts, code=5):
    lines = [line for line in result.err.splitlines() if not line.startswith("decision: ")]
    seen = f"case: {name}\n{result}"
    check(result.code == code, f"{name}: exit {code}", seen)
    check(result.out == "" and len(lines) == 1 and lines[0].startswith("strata: "), f"{name}: one line on stderr", seen)
    for text in texts:
        check(text in result.err, f"{name}: the error says: {text}", seen)
    for word in ("terminate", "what()", "std::", "Aborted", "json.exception"):
        check(word not in result.err, f"{name}: no {word} in the message", seen)


with folder() as temporary:
    number = 0

    def broken(change):
        """A fresh copy of the demo model, broken; and an output folder beside it."""
        global number
        number += 1
        home = os.path.join(temporary, str(number))
        model = os.path.join(home, "model")
        shutil.copytree(MODEL, model)
        result = change(model)
        return model, os.path.join(home, "out"), result

    def nothing_written(out, name):
        left = [entry for entry in os.listdir(os.path.dirname(out)) if entry.startswith("out") and entry not in ("outside", "out.work")]
        check(not left, f"{name}: nothing was written", left)

    for name, change, texts in CASES:
        model, out, _ = broken(change)
        refused(strata("inspect", model), name, texts)
        refused(strata("quantize", model, "-o", out, "--scheme", "W4A16", "-q"), name, texts)
        nothing_written(out, name)
        shutil.rmtree(os.path.dirname(model))

    for name, change, texts in MODEL_CASES:
        model, out, _ = broken(change)
        refused(strata("plan", model, "--scheme", "W4A16"), name, texts)
        refused(strata("quantize", model, "-o", out, "--scheme", "W4A16", "-q"), name, texts)
        nothing_written(out, name)

    for scheme in ("NVFP4A16", "W4A16", "FP8_DYNAMIC"):
        model, out, tensor = broken(nan_in)
        refused(strata("quantize", model, "-o", out, "--scheme", scheme, "-q"), f"NaN under {scheme}", [tensor])
        nothing_written(out, "NaN")

    # A missing index of shards is told apart from folders that are no model at all.
    os.mkdir(os.path.join(temporary, "empty"))
    refused(strata("inspect", os.path.join(temporary, "empty")), "empty folder", ["not a checkpoint"])
    refused(strata("inspect", os.path.join(temporary, "absent")), "missing folder", ["no such folder"])
    refused(strata("inspect", os.path.join(MODEL, "config.json")), "a file", ["is a file"])
    refused(strata("inspect", "Qwen/Qwen3-0.6B", cwd=temporary), "hub id", ["hf download Qwen/Qwen3-0.6B --local-dir Qwen3-0.6B"])
    refused(strata("quantize", "Qwen/Qwen3-0.6B", "-o", "out", "--scheme", "W4A16", "-q", cwd=temporary), "hub id", ["hf download"])

    # The layout of the Hugging Face cache works: links into the blobs beside the snapshots.
    cache = os.path.join(temporary, "models--org--name")
    snapshot = os.path.join(cache, "snapshots", "0123")
    os.makedirs(snapshot)
    os.mkdir(os.path.join(cache, "blobs"))
    for entry in os.listdir(MODEL):
        shutil.copyfile(os.path.join(MODEL, entry), os.path.join(cache, "blobs", "hash-" + entry))
        os.symlink(f"../../blobs/hash-{entry}", os.path.join(snapshot, entry))
    out = os.path.join(temporary, "cached")
    result = strata("quantize", snapshot, "-o", out, "--scheme", "W4A16", "-q")
    check(result.code == 0 and not any(os.path.islink(os.path.join(out, name)) for name in os.listdir(out)), "from the cache", result)
    refused(strata("inspect", cache), "cache folder", ["snapshots"])
finish()
