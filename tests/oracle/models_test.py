"""`strata logits` against transformers, both in float32.

    models_test.py STRATA

Makes the tiny random models again and compares with what transformers computes now; the files of
tests/golden/models must still say the same. Then the trained models of ../shared/fixtures, where they are, on real
text, and greedy text with logits that were once computed in float64.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as torch_load
from safetensors.torch import save_file as torch_save
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

import make_tiny_models
from starts import run_program

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "..", "..", "shared", "fixtures")
TOLERANCE = 2e-5  # largest difference over largest reference
failures = []


def report(name, distance, limit):
    verdict = "ok" if distance <= limit else "FAILED"
    print(f"{name:44} {distance:.2e}  (limit {limit:.0e})  {verdict}", flush=True)
    if not distance <= limit:
        failures.append(name)


def distance(got, reference):
    if got.shape != reference.shape:
        sys.exit(f"shapes differ: {got.shape} and {reference.shape}")
    return float(np.abs(got - reference).max() / np.abs(reference).max())


def strata_logits(strata, folder, ids):
    with tempfile.TemporaryDirectory() as work:
        tokens, logits = os.path.join(work, "ids.safetensors"), os.path.join(work, "logits.safetensors")
        save_file({"input_ids": ids.astype(np.int64)}, tokens)
        run_program([strata, "logits", folder, "--tokens", tokens, "-o", logits, "-q"], check=True, stdout=subprocess.DEVNULL)
        return load_file(logits)["logits"]


def reference_logits(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        return model(torch.from_numpy(ids), use_cache=False).logits.numpy()


def tiny_models(strata, out):
    for name, case in make_tiny_models.CASES.items():
        folder = os.path.join(out, name)
        make_tiny_models.write(folder, case)
        golden = load_file(os.path.join(folder, "golden.safetensors"))
        live = reference_logits(folder, golden["input_ids"])
        report(f"{name}: as stored", distance(live, golden["logits"]), TOLERANCE)
        report(f"{name}: strata", distance(strata_logits(strata, folder, golden["input_ids"]), live), TOLERANCE)

        kept = os.path.join(HERE, "..", "golden", "models", name)
        committed = load_file(os.path.join(kept, "golden.safetensors"))
        report(f"{name}: committed reference",
               distance(reference_logits(kept, committed["input_ids"]), committed["logits"]), TOLERANCE)


def both_ends(strata, out):
    """A config that ties what the file stores twice: transformers uses both as they are when they differ."""
    folder = os.path.join(out, "llama-tied")
    path = os.path.join(folder, "model.safetensors")
    tensors = torch_load(path)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].flip(0).contiguous()
    torch_save(tensors, path, metadata={"format": "pt"})
    ids = load_file(os.path.join(folder, "golden.safetensors"))["input_ids"]
    reference = reference_logits(folder, ids)
    report("tied by config, two ends on disk: strata", distance(strata_logits(strata, folder, ids), reference), TOLERANCE)


def text_ids(folder, rows, columns):
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    text = os.path.join(FIXTURES, "text", "wikitext-2", "wiki.test.tokens")
    with open(text, encoding="utf-8") as file:
        ids = tokenizer.encode(file.read(200_000), add_special_tokens=False).ids
    return np.array(ids[: rows * columns], np.int64).reshape(rows, columns)


def trained_models(strata):
    for name in ("tinystories-656k", "qwen3-dense", "qwen3-moe", "demo-moe"):
        folder = os.path.join(FIXTURES, "models", name)
        ids = text_ids(folder, 4, 200)
        report(f"{name}: strata", distance(strata_logits(strata, folder, ids), reference_logits(folder, ids)), TOLERANCE)


def greedy_text(strata):
    """A continuation chosen greedily in float64: each next id is the most likely one."""
    folder = os.path.join(FIXTURES, "models", "tinystories-656k")
    with open(os.path.join(folder, "golden.json"), encoding="utf-8") as file:
        golden = json.load(file)
    ids = np.array([golden["ids"]], np.int64)
    logits = strata_logits(strata, folder, ids)[0]
    wrong = int((logits[:-1].argmax(-1) != ids[0, 1:]).sum())
    report("tinystories-656k: greedy ids that differ", wrong, 0)
    last = golden["last_position_logits"]
    # The file holds six decimals.
    report("tinystories-656k: float64 logits",
           distance(logits[last["position"]], np.array(last["values"], np.float32)), TOLERANCE)


def main():
    strata = os.path.abspath(sys.argv[1])
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as out:
        tiny_models(strata, out)
        both_ends(strata, out)
    if os.path.isdir(os.path.join(FIXTURES, "models")):
        trained_models(strata)
        greedy_text(strata)
    else:
        print("SKIPPED: the trained models, ../shared/fixtures is not there")
    if failures:
        sys.exit("failed: " + ", ".join(failures))


if __name__ == "__main__":
    main()
