"""The ways out of docs/checkpoints.md, "Checkpoints that must be changed first", are gone as they stand there.

    changed_first_test.py STRATA

Each kind of checkpoint is made from a tiny model of transformers; strata refuses it and names the way out; the lines of
the docs change it; strata then reads it, with the logits that transformers computes for the model it came from.
"""

import json
import os
import re
import shutil
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import make_block_moe
from starts import run_program

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TOLERANCE = 2e-5  # largest difference over largest reference, float32
failures = []


def check(name, good, detail=""):
    print(f"  {name:60} {detail!s:60.60} {'ok' if good else 'FAILED'}", flush=True)
    if not good:
        failures.append(name)


def blocks():
    with open(os.path.join(ROOT, "docs", "checkpoints.md"), encoding="utf-8") as file:
        section = file.read().split("## Checkpoints that must be changed first\n")[1].split("\n## ")[0]
    found = re.findall(r"```python\n(.*?)```", section, re.S)
    base, rename, split, awq = found
    function = re.compile(r"^def changed\(.*?\n\n", re.S | re.M)
    assert function.search(rename)
    return {"base": base, "rename": rename, "split": function.sub(lambda _: split + "\n", rename), "awq": awq}


def go(lines, source, target):
    """Runs the lines on these folders."""
    exec(lines.replace("FOLDER", source).replace("NEW", target), {})  # a process of its own would import all again


def refused(strata, folder, *texts):
    done = run_program([strata, "plan", folder, "--scheme", "FP8_DYNAMIC"], capture_output=True, text=True)
    last = done.stderr.rstrip("\n").split("\n")[-1]
    check(f"{os.path.basename(folder)}: refused", done.returncode == 5 and all(text in last for text in texts), last)


def logits(strata, folder, ids, work):
    tokens, out = os.path.join(work, "ids.safetensors"), os.path.join(work, "logits.safetensors")
    save_file({"input_ids": ids}, tokens)
    done = run_program([strata, "logits", folder, "--tokens", tokens, "-o", out, "--force", "-q"], capture_output=True, text=True)
    if done.returncode != 0:
        check(f"{os.path.basename(folder)}: read", False, done.stderr)
        return None
    return load_file(out)["logits"]


def same_model(strata, folder, reference, work):
    """That strata computes for the folder what the float32 model of transformers does."""
    ids = torch.arange(48).reshape(2, 24) * 5 % 256
    with torch.no_grad():
        expected = reference.float().eval()(ids, use_cache=False).logits
    got = logits(strata, folder, ids, work)
    if got is not None:
        error = float((got - expected).abs().max() / expected.abs().max())
        check(f"{os.path.basename(folder)}: the same model", error <= TOLERANCE, f"{error:.1e}")


def rewritten(source, target, change, shards=1):
    """The checkpoint with every tensor through change(name, tensor) -> pairs, in so many shards."""
    shutil.copytree(source, target)
    path = os.path.join(target, "model.safetensors")
    tensors = {new: part for name, tensor in load_file(path).items() for new, part in change(name, tensor)}
    if shards == 1:
        save_file(tensors, path, {"format": "pt"})
        return
    os.remove(path)
    weight_map = {}
    for i in range(shards):
        name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        part = {key: tensors[key] for key in sorted(tensors)[i::shards]}
        save_file(part, os.path.join(target, name), {"format": "pt"})
        weight_map.update(dict.fromkeys(part, name))
    with open(os.path.join(target, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
        json.dump({"metadata": {}, "weight_map": weight_map}, file)


def edit_config(folder, **changes):
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config.update(changes)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def base_models(strata, lines, work):
    """What LlamaModel.save_pretrained and its like write: no prefix, no head."""
    model = make_block_moe.build(dense=True)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    base = os.path.join(work, "base")
    model.model.save_pretrained(base)
    with open(os.path.join(base, "config.json"), encoding="utf-8") as file:
        check("base: what transformers writes", json.load(file)["architectures"] == ["Qwen3Model"] and
              "layers.0.input_layernorm.weight" in load_file(os.path.join(base, "model.safetensors")))
    refused(strata, base, "Qwen3Model is the base model of Qwen3ForCausalLM", "AutoModelForCausalLM")
    edit_config(base, architectures=["Qwen3ForCausalLM"])  # as embedding models on the hub have it
    refused(strata, base, "is a base model", 'no "model." before their names', "AutoModelForCausalLM")
    go(lines["base"], base, base + "-whole")
    same_model(strata, base + "-whole", AutoModelForCausalLM.from_pretrained(base), work)

    edit_config(base, tie_word_embeddings=False)
    refused(strata, base, "there is no lm_head.weight", "give the checkpoint of the causal model")


def other_prefixes(strata, lines, work, source):
    reference = AutoModelForCausalLM.from_pretrained(source)
    for shards in (1, 3):
        folder = os.path.join(work, f"prefix-{shards}")
        rewritten(source, folder, lambda name, tensor: [("module." + name, tensor)], shards)
        refused(strata, folder, 'stand under "module.model."', "rename them (docs/checkpoints.md has the lines)")
        go(lines["rename"], folder, folder + "-renamed")
        same_model(strata, folder + "-renamed", reference, work)


def packed_experts(strata, lines, work):
    model = make_block_moe.build()
    plain, packed = os.path.join(work, "experts"), os.path.join(work, "packed")
    model.save_pretrained(plain)
    parameters = dict(model.named_parameters())
    reference = AutoModelForCausalLM.from_pretrained(plain)  # casting a model casts its rotary table too

    def pack(name, tensor):
        stem, _, rest = name.partition(".mlp.experts.")
        if not rest:
            return [(name, tensor)]
        if not rest.startswith("0.down_proj"):
            return []
        return [(f"{stem}.mlp.experts.{kind}", parameters[f"{stem}.mlp.experts.{kind}"].detach().clone())
                for kind in ("gate_up_proj", "down_proj")]

    for shards in (1, 3):
        folder = f"{packed}-{shards}"
        rewritten(plain, folder, pack, shards)
        refused(strata, folder, "experts.gate_up_proj: packed experts", "split them (docs/checkpoints.md has the lines)")
        go(lines["split"], folder, folder + "-split")
        split, original = load_folder(folder + "-split"), load_folder(plain)
        check(f"packed-{shards}: the tensors of the original",
              split.keys() == original.keys() and all(torch.equal(split[name], original[name]) for name in split), len(split))
        same_model(strata, folder + "-split", reference, work)
    again = os.path.join(work, "packed-again")
    AutoModelForCausalLM.from_pretrained(f"{packed}-1").save_pretrained(again)
    check("packed: transformers leaves them packed", "model.layers.1.mlp.experts.gate_up_proj" in load_folder(again))


def load_folder(folder):
    return {name: tensor for file in sorted(os.listdir(folder)) if file.endswith(".safetensors")
            for name, tensor in load_file(os.path.join(folder, file)).items()}


# AutoAWQ's GEMM layout: weights [in, out/8], eight 4-bit codes a word, and these columns of eight in its nibbles from the
# lowest on.
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


def awq_words(codes):
    """Codes 0..15 [rows, columns] as AutoAWQ packs them, word by word."""
    words = torch.zeros(codes.shape[0], codes.shape[1] // 8, dtype=torch.int64)
    for word in range(words.shape[1]):
        for nibble, column in enumerate(AWQ_ORDER):
            words[:, word] |= codes[:, 8 * word + column].long() << (4 * nibble)
    return torch.where(words >= 2**31, words - 2**32, words).int()


def awq(strata, lines, work, source):
    folder = os.path.join(work, "awq")
    meant, generator = {}, torch.Generator().manual_seed(4)

    def quantize(name, weight):
        if not name.endswith("_proj.weight"):
            meant[name] = weight
            return [(name, weight)]
        stem, (out, columns) = name.removesuffix(".weight"), weight.shape
        codes = torch.randint(16, (columns, out), generator=generator)
        zeros = torch.randint(16, (columns // 128, out), generator=generator)
        scales = (torch.rand(columns // 128, out, generator=generator) * 0.01 + 0.005).half()
        values = (codes - zeros.repeat_interleave(128, 0)).float() * scales.float().repeat_interleave(128, 0)
        meant[name] = values.T.contiguous()
        return [(stem + ".qweight", awq_words(codes)), (stem + ".qzeros", awq_words(zeros)), (stem + ".scales", scales)]

    rewritten(source, folder, quantize)
    edit_config(folder, quantization_config={"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True})
    refused(strata, folder, "is quantized by AWQ", "convert it to compressed-tensors (docs/checkpoints.md has the lines)")
    go(lines["awq"], folder, folder + "-converted")
    reference = AutoModelForCausalLM.from_pretrained(source).float()
    reference.load_state_dict({name: tensor.float() for name, tensor in meant.items()})
    same_model(strata, folder + "-converted", reference, work)


def main(strata):
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    lines = blocks()
    with tempfile.TemporaryDirectory(prefix="strata_oracle_") as work:
        source = os.path.join(work, "dense")
        make_block_moe.build(dense=True).save_pretrained(source)
        base_models(strata, lines, work)
        other_prefixes(strata, lines, work, source)
        packed_experts(strata, lines, work)
        awq(strata, lines, work, source)
    if failures:
        sys.exit(f"FAILED: {', '.join(failures)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(os.path.abspath(sys.argv[1]))
