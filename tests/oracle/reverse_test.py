"""A reverse sweep against autograd through transformers' own modules.

    reverse_test.py STRATA

Three random cotangents of the hidden states that leave the last layer are taken back to what leaves the embedding: by a
pass of the test tree (tests/reverse), layer by layer, with experts in groups and hidden states in files under a small
budget, and by torch. Every tiny model of make_tiny_models.py, and the demo model.
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

import make_tiny_models

HERE = os.path.dirname(os.path.abspath(__file__))
SETS = 3
TOLERANCE = 1e-4  # largest difference over largest reference
failures = []


def check(holds, text):
    print(f"{'ok' if holds else 'FAILED'}: {text}", flush=True)
    if not holds:
        failures.append(text)


def reference(folder, ids, cotangents):
    """Gradients [K, b, t, hidden] with respect to what leaves the embedding."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.requires_grad_(False)
    embedded = model.get_input_embeddings()(torch.from_numpy(ids)).detach().requires_grad_(True)
    last = {}
    model.model.norm.register_forward_pre_hook(lambda _module, arguments: last.update(states=arguments[0]))
    model(inputs_embeds=embedded, use_cache=False)
    return np.stack([torch.autograd.grad(last["states"], embedded, torch.from_numpy(one), retain_graph=True)[0].numpy()
                     for one in cotangents])


def ours(program, folder, ids, cotangents, limits):
    """The same by the program, and what it says of groups, planned and measured bytes."""
    with tempfile.TemporaryDirectory() as work:
        tokens = os.path.join(work, "ids.safetensors")
        save_file({"input_ids": ids.astype(np.int64)}, tokens)
        cotangents.tofile(os.path.join(work, "cotangents.f32"))
        said = subprocess.run([program, folder, tokens, work, *limits], check=True, stdout=subprocess.PIPE, text=True).stdout
        found = np.fromfile(os.path.join(work, "gradients.f32"), dtype=np.float32).reshape(cotangents.shape)
        return found, [int(word) for word in said.split()]


def compare(program, name, folder, ids, experts):
    hidden = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).config.hidden_size
    cotangents = np.random.default_rng(7).standard_normal((SETS, *ids.shape, hidden)).astype(np.float32)
    expected = reference(folder, ids, cotangents)
    whole, _ = ours(program, folder, ids, cotangents, [str(1 << 30)])
    (parts, (groups, peak, _)) = ours(program, folder, ids, cotangents, ["1"])
    for what, found in [("in one group", whole), ("in many", parts)]:
        distance = float(np.abs(found - expected).max() / np.abs(expected).max())
        check(distance <= TOLERANCE, f"{name}: experts {what}: {distance:.1e} from autograd")
    check(groups >= 3 if experts else groups == 0, f"{name}: {groups} groups of experts")
    # A little more than the smallest plan: hidden states and gradients lie in files then.
    small, (_, _, resident) = ours(program, folder, ids, cotangents, ["1", str(peak + (2 << 20))])
    check(np.array_equal(small, parts), f"{name}: the same bytes under a budget of {peak >> 20} MiB, {resident >> 20} resident")


def main():
    program = os.path.join(os.path.dirname(sys.argv[1]), "tests", "reverse_sweep")
    with tempfile.TemporaryDirectory() as out:
        for name, case in make_tiny_models.CASES.items():
            folder = os.path.join(out, name)
            make_tiny_models.write(folder, case)
            ids = load_file(os.path.join(folder, "golden.safetensors"))["input_ids"]
            compare(program, name, folder, ids, "Moe" in case["kind"])
    demo = os.path.join(HERE, "..", "..", "demo", "model")
    ids = np.random.default_rng(3).integers(0, 1024, (8, 512))
    compare(program, "demo", demo, ids, True)
    sys.exit(1 if failures else 0)


main()
