"""Outputs of the program against stock transformers and compressed-tensors.

    outputs_test.py STRATA [MODEL[:SCHEME]...]

For every model at hand (the demo model; the trained ones of ../shared/fixtures where they are) and every scheme:
plan, quantize, and then
  1. the bytes of the output folder are the bytes that the plan said;
  2. transformers loads it without a missing, unexpected or re-initialised key, and its logits in float32 equal those
     of `strata logits --decode bf16 --activations none` (NVFP4 experts, which transformers misloads, are decoded by
     numpy into the source's class instead, and so are all experts that docs/formats.md says it does not load);
  3. `strata eval` gives the same KL as these logits, and, with activations as served, the same within 1 % as a model
     whose Linears' inputs go through compressed-tensors' own fake_quantize;
  4. `strata verify` finds it good.
"""

import copy
import functools
import json
import os
import re
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
import transformers
from transformers import AutoModelForCausalLM
from transformers.utils.quantization_config import CompressedTensorsConfig

import numpy_decoder
import served_activations
from starts import run_program

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
FIXTURES = os.path.join(ROOT, "..", "shared", "fixtures")
SERVED = ["NVFP4", "MXFP4", "MXFP4XFP8", "MXFP6A8", "MXFP8", "FP8", "FP8_DYNAMIC", "FP8_BLOCK", "INT8"]
WEIGHTS_ONLY = ["NVFP4A16", "MXFP4A16", "MXFP6A16", "MXFP8A16", "W4A16", "W4A16_G64", "W4A16_G32", "W4A16_ASYM",
                "W4A16_G64_ASYM", "W4A16_G32_ASYM", "W8A16", "W8A16_CHANNEL", "BF16", "KEEP"]
CALIBRATED = ["NVFP4", "FP8"]
# What transformers 5.15 loads where experts are stored one by one (docs/formats.md): everything dense, and these.
LOADS_EXPERTS = ["W4A16", "W8A16", "FP8_DYNAMIC", "MXFP4A16", "MXFP6A16", "BF16", "KEEP"]
# The two smallest models stand for the loading alone.
BRIEF = ["NVFP4", "W4A16", "FP8_DYNAMIC", "KEEP"]
WINDOW, WINDOWS = 64, 12
CALIBRATION = 16, 64  # windows, and their length
failures = []


def models():
    """name -> (folder, calibration text, evaluation text)"""
    demo = os.path.join(ROOT, "demo")
    found = {"demo-moe": (os.path.join(demo, "model"), os.path.join(demo, "calibration.jsonl"), os.path.join(demo, "heldout.jsonl"))}
    text = os.path.join(FIXTURES, "text")
    for name in ("tinystories-656k", "qwen3-dense", "qwen3-moe"):
        folder = os.path.join(FIXTURES, "models", name)
        if os.path.isdir(folder):
            wiki = os.path.join(text, "wikitext-2")
            found[name] = (folder, os.path.join(wiki, "wiki.valid.tokens"), os.path.join(wiki, "wiki.test.tokens"))
    return found


def check(name, value, limit):
    good = bool(value <= limit)
    print(f"  {name:34} {value:.3e}  (limit {limit:.0e})  {'ok' if good else 'FAILED'}", flush=True)
    if not good:
        failures.append(name)


def run(strata, *args):
    done = run_program([strata, *args, "-q"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"strata {' '.join(args)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def schemes_of(model):
    return BRIEF if model in ("demo-moe", "tinystories-656k") else SERVED + WEIGHTS_ONLY


def relative(got, reference):
    return float(np.abs(got - reference).max() / np.abs(reference).max())


def has_experts(model):
    return any("experts" in name for name, _ in model.named_parameters())


def load_transformers(folder):
    """As a user would, weights decompressed at load; any complaint about keys is a failure."""
    quantized = "quantization_config" in json.load(open(os.path.join(folder, "config.json")))
    extra = {"quantization_config": CompressedTensorsConfig(dequantize=True)} if quantized else {}
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager",
                                                       output_loading_info=True, **extra)
    tied = model.config.tie_word_embeddings
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        left = [k for k in info.get(kind) or [] if not (tied and "lm_head" in str(k) or tied and "embed_tokens" in str(k))]
        if left:
            failures.append(f"{folder}: {kind} {left[:4]}")
    for module in model.modules():
        if hasattr(module, "quantization_scheme"):
            module.quantization_enabled = False
    return model.float().eval()


def load_decoded(source, output):
    """The source in bfloat16 with the output's weights, decoded by numpy and rounded too."""
    model = copy.deepcopy(source)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    tensors = numpy_decoder.read_checkpoint(output)
    groups = json.load(open(os.path.join(output, "config.json")))["quantization_config"]["config_groups"]
    state = model.state_dict()
    for base in sorted({name.rsplit(".", 1)[0] for name in tensors if name.endswith(".weight_scale")}):
        scheme = next(g for g in groups.values() if any(re.match(t[3:], base) for t in g["targets"] if t.startswith("re:")))
        weight = torch.from_numpy(numpy_decoder.decode_module(tensors, base, scheme)).to(torch.bfloat16).float()
        expert = re.match(r"(.*\.experts)\.(\d+)\.(gate|up|down)_proj$", base)
        if not expert:
            state[base + ".weight"].copy_(weight)
            continue
        packed = state[expert[1] + (".down_proj" if expert[3] == "down" else ".gate_up_proj")][int(expert[2])]
        half = packed.shape[0] // 2
        {"gate": packed[:half], "up": packed[half:], "down": packed}[expert[3]].copy_(weight)
    return model


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.from_numpy(ids), use_cache=False).logits.numpy()


def kl_of(reference, model):
    p, q = (torch.log_softmax(torch.from_numpy(x).double(), -1) for x in (reference, model))
    return float((p.exp() * (p - q)).sum(-1).mean())


class Source:
    """A model, and what the outputs of all its schemes are compared with, computed once."""

    def __init__(self, strata, name, work):
        self.strata, self.name, self.work = strata, name, work
        self.folder, self.calibration, self.heldout = models()[name]
        self.model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.ids = self.tokenize(self.heldout, WINDOWS, WINDOW + 1)
        self.inputs = load_file(self.ids)["input_ids"][:, :-1].copy()
        self.input_file = os.path.join(work, f"{name}-inputs.safetensors")
        save_file({"input_ids": self.inputs}, self.input_file)
        self.logits = logits_of(self.model, self.inputs)

    def tokenize(self, text, windows, length):
        ids = os.path.join(self.work, f"{self.name}-{windows}x{length}.safetensors")
        run(self.strata, "tokenize", self.folder, "--dataset", text, "--seqlen", str(length), "--nsamples", str(windows), "-o", ids)
        return ids

    @functools.cached_property
    def largest_inputs(self):
        """By module, the largest input that transformers sees on the calibration windows."""
        largest = {}

        def watch(name):
            def hook(_, inputs):
                largest[name] = max(largest.get(name, 0.0), inputs[0].abs().max().item())
            return hook

        hooks = [module.register_forward_pre_hook(watch(name)) for name, module in self.model.named_modules()
                 if isinstance(module, torch.nn.Linear) or name.endswith(".mlp.experts")]
        logits_of(self.model, load_file(self.tokenize(self.calibration, *CALIBRATION))["input_ids"])
        for hook in hooks:
            hook.remove()
        return largest


def check_input_scales(source, scheme, out):
    """input_global_scale is 2688 over the largest input that transformers sees on the same windows, input_scale (in
    bfloat16) that input over 448."""
    tensors = numpy_decoder.read_checkpoint(out)
    worst, compared = 0.0, 0
    for name in tensors:
        base, suffix = name.rsplit(".", 1)
        if suffix not in ("input_global_scale", "input_scale"):
            continue
        expert = re.match(r"(.*\.experts)\.\d+\.(gate|up|down)_proj$", base)
        if expert and expert[2] == "down":
            continue  # inside the fused experts of transformers, out of a hook's reach
        seen = source.largest_inputs[expert[1] if expert else base]
        expected = 2688 / seen if suffix == "input_global_scale" else seen / 448
        stored = float(numpy_decoder.as_float32(tensors, name).reshape(-1)[0])
        worst, compared = max(worst, abs(stored / expected - 1)), compared + 1
    # Scales of FP8 are stored in bfloat16.
    check(f"input scales, {compared} Linears", worst if compared else 1.0, 1e-4 if scheme == "NVFP4" else 2**-8)


def shaken(oracle, seed):
    """Moves every embedding by a unit in its last place, or not: as much as a sum in another order does."""
    noise = torch.Generator().manual_seed(seed)
    def hook(_module, _inputs, y):
        return y * (1 + 6e-8 * (torch.randint(0, 3, y.shape, generator=noise) - 1))
    return oracle.get_input_embeddings().register_forward_hook(hook)


def check_served(measured, reference, oracle, inputs):
    """Within 1 % of transformers, or of what transformers says when its sums are rounded otherwise: a code that flips
    at a rounding boundary may flip a routing decision, and a few of those are a good part of a small KL."""
    values = [kl_of(reference, logits_of(oracle, inputs))]
    if abs(measured - values[0]) > 1e-2 * values[0]:
        for seed in range(1, 5):
            hook = shaken(oracle, seed)
            values.append(kl_of(reference, logits_of(oracle, inputs)))
            hook.remove()
        print(f"  KL {measured:.6f}; transformers {', '.join(f'{v:.6f}' for v in values)} with a unit of noise", flush=True)
    width = max(values) - min(values)  # of five draws: the next may well lie as far beyond
    nearest = min(max(measured, min(values) - width), max(values) + width)
    check("KL, as served", abs(measured - nearest) / nearest, 1e-2)


def check_case(source, scheme):
    strata, folder = source.strata, source.folder
    out = os.path.join(source.work, f"{source.name}-{scheme}")
    # FP8_BLOCK keeps all of a model whose rows are a single block.
    flags = [folder, "-o", out, "--scheme", scheme, "--method", "rtn" if scheme == "KEEP" else "scale-search", "--allow-nothing"]
    if scheme in CALIBRATED:
        windows, length = CALIBRATION
        flags += ["--dataset", source.calibration, "--nsamples", str(windows), "--seqlen", str(length)]
    planned = json.loads(run(strata, "plan", *flags, "--json"))["output_bytes"]
    run(strata, "quantize", *flags)
    written = sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out))
    check("planned bytes - written bytes", abs(planned - written), 0)

    logits = out + "-logits.safetensors"
    run(strata, "logits", out, "--tokens", source.input_file, "-o", logits, "--decode", "bf16", "--activations", "none")
    loads = not has_experts(source.model) or scheme in LOADS_EXPERTS
    oracle = load_transformers(out) if loads else load_decoded(source.model, out)
    expected = logits_of(oracle, source.inputs)
    check("logits", relative(load_file(logits)["logits"], expected), 2e-5)

    measured = json.loads(run(strata, "eval", out, "--against", folder, "--tokens", source.ids, "--window", str(WINDOW),
                              "--decode", "bf16", "--runtime", "transformers", "--json"))
    kl = kl_of(source.logits, expected)
    weights_only = measured["weights_only"]["kl_mean"]
    if scheme == "KEEP" and json.load(open(os.path.join(folder, "config.json"))).get("torch_dtype") != "float32":
        check("KL of a copy", abs(weights_only), 1e-9)
    else:
        check("KL, weights only", abs(weights_only - kl) / max(kl, 1e-12), 1e-4)
    if scheme in CALIBRATED:
        check_input_scales(source, scheme, out)
    if scheme in SERVED:
        served_activations.attach(oracle, out)
        check_served(measured["kl_mean"], source.logits, oracle, source.inputs)
    run(strata, "verify", out, "--source", folder)


def main():
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)  # the models are small: threads that spin for each other cost more than they give
    strata, wanted = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as work:
        for name in models():
            schemes = [s for s in schemes_of(name) if not wanted or name in wanted or f"{name}:{s}" in wanted]
            source = Source(strata, name, work) if schemes else None
            for scheme in schemes:
                print(f"{name} {scheme}", flush=True)
                before = len(failures)
                check_case(source, scheme)
                failures[before:] = [f"{name} {scheme}: {f}" for f in failures[before:]]
    if failures:
        sys.exit("\n".join(["FAILED"] + failures))
    print("every output loads and says what strata predicted")


if __name__ == "__main__":
    main()
