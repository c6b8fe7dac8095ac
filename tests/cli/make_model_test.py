"""bench_make_model writes checkpoints of every family that Strata itself takes: the same bytes for a seed, other bytes
for another, any number of threads, values spread as weights are."""

import hashlib
import json
import math
import os
import struct
import subprocess
import sys

import program
from program import check, folder, strata

MAKE = os.path.join(os.path.dirname(program.PROGRAM), "bench", "bench_make_model")
if not os.path.exists(MAKE):
    print("skipped: needs bench_make_model (STRATA_BENCH=ON)")
    sys.exit(77)


def make(*arguments):
    return subprocess.run([MAKE, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def digest(path):
    """Names and bytes of every file of the folder."""
    total = hashlib.sha256()
    for name in sorted(os.listdir(path)):
        with open(os.path.join(path, name), "rb") as file:
            total.update(name.encode() + hashlib.sha256(file.read()).digest())
    return total.hexdigest()


def tensors(path):
    """name -> (dtype, shape, bytes), read by hand."""
    found = {}
    for name in os.listdir(path):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(path, name), "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            data = file.read()
        header.pop("__metadata__", None)
        for tensor, info in header.items():
            begin, end = info["data_offsets"]
            found[tensor] = (info["dtype"], info["shape"], data[begin:end])
    return found


def floats(dtype, data):
    if dtype == "F32":
        return struct.unpack(f"<{len(data) // 4}f", data)
    if dtype == "F16":
        return struct.unpack(f"<{len(data) // 2}e", data)
    return [struct.unpack("<f", struct.pack("<I", bits << 16))[0] for bits in struct.unpack(f"<{len(data) // 2}H", data)]


SMALL = ["--layers", 2, "--hidden", 256, "--intermediate", 384, "--heads", 4, "--kv-heads", 2, "--vocab", 512]
EXPERTS = [*SMALL, "--experts", 4, "--top-k", 2, "--moe-intermediate", 128]

with folder() as work:
    def at(name):
        return os.path.join(work, name)

    families = [line["name"] for line in strata("profiles", "--json").json()["profiles"]]
    for family in families:
        sizes = EXPERTS if family.endswith("_moe") else SMALL
        made = make(at(family), "--family", family, *sizes)
        check(made.returncode == 0, f"{family} is written", made.stderr)
        report = strata("inspect", at(family), "--json").json()
        check(report["family"] == family and report["unknown"] == [] and report["layers"] == 2, f"inspect knows {family}", report)
        planned = strata("plan", at(family), "--scheme", "w4a16", "-o", at("none"))
        check(planned.code == 0, f"every tensor of {family} is claimed", planned)

    moe = ["--family", "qwen3_moe", *EXPERTS]
    first = digest(at("qwen3_moe"))
    make(at("again"), *moe, "--threads", 1)
    check(digest(at("again")) == first, "one thread writes the same bytes as all")
    make(at("other"), *moe, "--seed", 2)
    check(digest(at("other")) != first, "another seed gives other bytes")
    a, b = tensors(at("qwen3_moe")), tensors(at("other"))
    same = [name for name in a if a[name][2] == b[name][2]]
    check(a.keys() == b.keys() and same == [], "another seed changes every tensor", same)
    check(len({data for _, _, data in a.values()}) == len(a), "no two tensors have the same bytes")

    make(at("shards"), *moe, "--shard-size", "500KB")
    shards = [name for name in os.listdir(at("shards")) if name.endswith(".safetensors")]
    check(len(shards) > 2 and tensors(at("shards")) == a, "shards hold the same tensors", shards)
    with open(at("shards/model.safetensors.index.json"), encoding="utf-8") as file:
        check(json.load(file)["weight_map"].keys() == a.keys(), "the index names every tensor")

    make(at("copied"), "--config", at("qwen3_moe/config.json"))
    check(tensors(at("copied")) == a, "a given config makes the same model")

    for dtype, stored in [("f32", "F32"), ("f16", "F16"), ("bf16", "BF16")]:
        make(at(dtype), "--family", "llama", *SMALL, "--dtype", dtype)
        name = "model.layers.1.mlp.down_proj.weight"
        kind, shape, data = tensors(at(dtype))[name]
        values = floats(kind, data)
        check(kind == stored and shape == [256, 384], f"{dtype} is stored", (kind, shape))
        deviation = math.sqrt(sum(x * x for x in values) / len(values)) * math.sqrt(384)
        check(0.9 < deviation < 1.4, f"{dtype}: deviation 1 / sqrt(in) times row factors and outliers", deviation)
        check(abs(sum(values) / len(values)) * math.sqrt(384) < 0.02, f"{dtype}: mean 0", sum(values) / len(values))
        largest = max(map(abs, values)) * math.sqrt(384)
        check(10 < largest < 60, f"{dtype}: there are outliers", largest)
        rows = [math.sqrt(sum(x * x for x in values[i:i + 384]) / 384) for i in range(0, len(values), 384)]
        check(max(rows) / min(rows) > 2, f"{dtype}: rows differ in size", (min(rows), max(rows)))
        norm = floats(*tensors(at(dtype))["model.norm.weight"][::2])
        check(abs(sum(norm) / len(norm) - 1) < 0.05, f"{dtype}: norms are around 1", norm[:4])

    make(at("with_tokens"), *moe, "--tokens", at("ids.safetensors"), "--rows", 4, "--columns", 64)
    dtype, shape, data = tensors(work)["input_ids"]
    ids = struct.unpack(f"<{len(data) // 8}q", data)
    check(dtype == "I64" and shape == [4, 64] and min(ids) >= 0 and max(ids) < 512 and len(set(ids)) > 60, "token ids", ids[:8])
    done = strata("quantize", at("with_tokens"), "-o", at("out"), "--scheme", "nvfp4", "--dataset", at("ids.safetensors"),
                  "--nsamples", 4, "--seqlen", 64, "-q")
    check(done.code == 0, "it can be quantized with its tokens", done)
    verified = strata("verify", at("out"), "--source", at("with_tokens"))
    check(verified.code == 0, "and the output is verified", verified)

    for arguments, text in [([at("qwen3_moe"), *moe], "exists already"), ([at("new")], "--family NAME or --config"),
                            ([at("new"), "--family", "nobody"], "one of llama"), ([at("new"), *moe, "--layers"], "value is missing"),
                            ([at("new"), *moe, "--rows", "0"], "above 0"), ([at("new"), *moe, "--what", "1"], "no option --what")]:
        refused = make(*arguments)
        check(refused.returncode == 2 and text in refused.stderr and refused.stderr.count("\n") == 1, f"refused: {text}", refused)
    check(not os.path.exists(at("new")), "a refusal writes nothing")
program.finish()
