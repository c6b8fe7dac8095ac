"""Sources that are stored in codes, against torch, transformers and compressed-tensors.

    sources_test.py STRATA

Models: the random ones of tests/golden (a family each), the trained qwen3-dense of ../shared/fixtures where it is, and
one that 128x128 blocks tile. For every native storage that cast_fp8.py makes of them:
  1. `strata logits` equals transformers in float32 on the weights that torch decodes;
  2. quantizing gives the same files, byte for byte, as quantizing those float32 weights;
  3. KEEP writes the very codes, and scales of the same value, under the names that loaders of compressed-tensors
     take; no trace of the old quantization_config is left; `verify --source` finds all that good.
Then: a mix of NVFP4 and FP8_SOURCE_STATIC loads in transformers; checkpoints of compressed-tensors, ours and one that
compressed-tensors itself wrote, are sources like any other.
"""

import json
import os
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils.quantization_config import CompressedTensorsConfig

import cast_fp8
import make_block_moe
import numpy_decoder
from starts import run_program

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
failures = []


def check(name, good, detail=""):
    print(f"  {name:46} {detail!s:28.28} {'ok' if good else 'FAILED'}", flush=True)
    if not good:
        failures.append(name)


def run(strata, *args, fails=None):
    done = run_program([strata, *args, "-q"], capture_output=True, text=True)
    if fails is not None:
        return done.returncode, done.stderr
    if done.returncode != 0:
        sys.exit(f"strata {' '.join(args)}: exit {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout


def ids_file(work, vocabulary):
    path = os.path.join(work, f"ids-{vocabulary}.safetensors")
    generator = torch.Generator().manual_seed(3)
    save_file({"input_ids": torch.randint(vocabulary, (3, 24), generator=generator)}, path)
    return path


def transformers_logits(folder, ids, dtype=torch.float32, **extra):
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager",
                                                       output_loading_info=True, **extra)
    complaints = [key for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in info.get(kind) or []
                  if not (model.config.tie_word_embeddings and ("lm_head" in str(key) or "embed_tokens" in str(key)))]
    for module in model.modules():
        if hasattr(module, "quantization_scheme"):
            module.quantization_enabled = False
    with torch.no_grad():
        return model.float().eval()(load_file(ids)["input_ids"], use_cache=False).logits.float(), complaints


def strata_logits(strata, folder, ids, *flags):
    out = folder + "-logits.safetensors"
    run(strata, "logits", folder, "--tokens", ids, "-o", out, "--force", *flags)
    return load_file(out)["logits"]


def relative(got, reference):
    return float((got - reference).abs().max() / reference.abs().max())


def save_meant(folder, meant, source):
    """The float32 checkpoint of what the codes mean, without a quantization_config."""
    config = json.load(open(os.path.join(source, "config.json")))
    cast_fp8.save(folder, meant, source, config)


def same_files(a, b):
    names = sorted(os.listdir(a))
    return names == sorted(os.listdir(b)) and all(
        open(os.path.join(a, n), "rb").read() == open(os.path.join(b, n), "rb").read() for n in names)


def quantize(strata, source, out, *flags):
    run(strata, "quantize", source, "-o", out, "--force", *flags)
    return cast_fp8.read(out)


def expected_copy(parts, kept):
    """What a kept Linear must hold, from the parts of its source: by suffix, None for what must not be there."""
    scale = next((parts[s] for s in ("weight_scale_inv", "weight_scale", "scale") if s in parts), None)
    input_scale = next((parts[s] for s in ("activation_scale", "input_scale") if s in parts), None)
    weight = parts["weight"]
    if scale is None:
        return {"weight": weight}
    if "weight_scale_2" in parts:
        return {"weight_packed": weight, "weight_scale": scale, "weight_global_scale": (1 / parts["weight_scale_2"]).reshape(1),
                "input_global_scale": (1 / input_scale).reshape(1)}
    if weight.dtype == torch.int8:
        return {"weight_packed": weight.view(torch.uint8), "weight_scale": scale.view(torch.uint8)}
    if scale.numel() == 1:
        if "weight_scale" in kept and kept["weight_scale"].numel() > 1:  # filled: one a row
            filled = scale.float().reshape(1, 1).expand(weight.shape[0], 1)
        else:
            filled = scale.float().reshape(1)
        copy = {"weight": weight, "weight_scale": filled}
        return copy if input_scale is None else dict(copy, input_scale=input_scale.float().reshape(1))
    if scale.dtype in (torch.uint8, torch.float8_e8m0fnu) and scale.shape[0] != weight.shape[0]:
        return {"weight": weight, "weight_scale": cast_fp8.from_e8m0(scale)}
    return {"weight": weight, "weight_scale": scale}


def by_module(tensors):
    modules = {}
    for name, tensor in tensors.items():
        stem, suffix = name.rsplit(".", 1)
        modules.setdefault(stem, {})[suffix] = tensor
    return modules


def same_tensor(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(
        a.contiguous().reshape(-1).view(torch.uint8), b.contiguous().reshape(-1).view(torch.uint8))


def servable_block(weight):
    return weight.shape[0] % 128 == 0 and weight.shape[1] % 128 == 0 and weight.shape[1] > 128


def check_kept(strata, name, kind, folder, out, meant):
    stored, kept = by_module(cast_fp8.read(folder)), by_module(quantize(strata, folder, out, "--scheme", "KEEP"))
    wrong, copied, decoded = [], 0, 0
    for module, parts in stored.items():
        parts = {s: t for s, t in parts.items() if s not in ("k_scale", "v_scale", "bias")}
        has = {s: t for s, t in kept.get(module, {}).items() if s != "bias"}
        expected = expected_copy(parts, has)
        if "weight" in has and has["weight"].dtype == torch.bfloat16 and len(parts) > 1:
            expected = {"weight": meant[module + ".weight"].to(torch.bfloat16)}
            decoded += 1
        elif len(parts) > 1:
            copied += 1
        if set(has) != set(expected) or not all(same_tensor(has[s], expected[s]) for s in expected):
            wrong.append(f"{module}: {sorted(has)}")
    check(f"{name} {kind}: KEEP copies", not wrong and (decoded == 0 or kind.startswith("block")),
          wrong[:1] or f"{copied} copied, {decoded} decoded")
    config = json.load(open(os.path.join(out, "config.json")))
    clean = config.get("quantization_config", {}).get("quant_method", "compressed-tensors") == "compressed-tensors"
    clean = clean and not os.path.exists(os.path.join(out, "hf_quant_config.json"))
    check(f"{name} {kind}: nothing of the old config", clean)
    code, text = run(strata, "verify", out, "--source", folder, fails=True)
    check(f"{name} {kind}: verify", code == 0, text.strip()[:200])
    return copied


def check_storage(strata, name, kind, source, work, thorough=True):
    folder, plain = os.path.join(work, f"{name}-{kind}"), os.path.join(work, f"{name}-{kind}-meant")
    meant = cast_fp8.cast(kind, source, folder)
    save_meant(plain, meant, source)
    config = json.load(open(os.path.join(source, "config.json")))
    ids = ids_file(work, config["vocab_size"])
    reference, _ = transformers_logits(plain, ids)
    error = relative(strata_logits(strata, folder, ids), reference)
    check(f"{name} {kind}: logits", error <= 2e-5, f"{error:.2e}")
    if thorough:
        quantize(strata, folder, folder + "-q", "--scheme", "NVFP4A16")
        quantize(strata, plain, plain + "-q", "--scheme", "NVFP4A16")
        check(f"{name} {kind}: quantizes as its values", same_files(folder + "-q", plain + "-q"))
    copied = check_kept(strata, name, kind, folder, folder + "-keep", meant)
    return folder, copied


def check_mixed(strata, source, work):
    """NVFP4 for the MLP, the source's static FP8 for attention: as Mistral Medium is published."""
    folder = os.path.join(work, "mixed-source")
    cast_fp8.cast("tensor", source, folder)
    ids = ids_file(work, json.load(open(os.path.join(source, "config.json")))["vocab_size"])
    out = os.path.join(work, "mixed")
    quantize(strata, folder, out, "--scheme", "NVFP4", "--override", "*.self_attn.*=FP8_SOURCE_STATIC", "--dataset", ids,
             "--nsamples", "2", "--seqlen", "16")
    groups = json.load(open(os.path.join(out, "config.json")))["quantization_config"]["config_groups"]
    check("mixed: formats", {g["format"] for g in groups.values()} == {"nvfp4-pack-quantized", "float-quantized"}, len(groups))
    # Codes are decoded into the dtype of the model; our scales of FP8 are numbers of bfloat16, so nothing else rounds.
    expected, complaints = transformers_logits(out, ids, torch.bfloat16,
                                               quantization_config=CompressedTensorsConfig(dequantize=True))
    check("mixed: transformers loads every key", not complaints, complaints[:1])
    error = relative(strata_logits(strata, out, ids, "--activations", "none", "--decode", "bf16"), expected)
    check("mixed: logits", error <= 2e-5, f"{error:.2e}")
    code, text = run(strata, "verify", out, "--source", folder, fails=True)
    check("mixed: verify", code == 0, text.strip()[:200])
    code, text = run(strata, "quantize", source, "-o", out + "-x", "--scheme", "FP8_SOURCE", fails=True)
    check("FP8_SOURCE of a dense source is refused", code == 2 and "stored as BF16" in text, text.strip()[-60:])


def write_compressed(source, out, name):
    """A checkpoint by compressed-tensors itself, from a model of transformers."""
    from compressed_tensors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config, preset_name_to_scheme
    from compressed_tensors.quantization.utils import calculate_qparams

    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
    scheme = preset_name_to_scheme(name, ["Linear"])
    apply_quantization_config(model, QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"]))
    for module in model.modules():
        if not hasattr(module, "quantization_scheme") or not hasattr(module, "weight_scale"):
            continue
        args, weight = module.quantization_scheme.weights, module.weight.data
        groups = weight.unflatten(-1, (-1, args.group_size)) if args.group_size else weight.unsqueeze(1)
        scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
        module.weight_scale.data = scale.reshape(module.weight_scale.shape).to(module.weight_scale.dtype)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(out)
    compressor.update_config(out)
    config = json.load(open(os.path.join(out, "config.json")))
    config.setdefault("architectures", json.load(open(os.path.join(source, "config.json")))["architectures"])
    json.dump(config, open(os.path.join(out, "config.json"), "w"))


def decoded_by_numpy(folder, source):
    tensors = numpy_decoder.read_checkpoint(folder)
    groups = json.load(open(os.path.join(folder, "config.json")))["quantization_config"]["config_groups"]
    assert len(groups) == 1
    meant = cast_fp8.read(source)
    for base in sorted({name.rsplit(".", 1)[0] for name in tensors if name.endswith(".weight_scale")}):
        values = numpy_decoder.decode_module(tensors, base, next(iter(groups.values())))
        meant[base + ".weight"] = torch.from_numpy(np.ascontiguousarray(values))
    return meant


def check_compressed(strata, label, folder, source, work):
    plain = os.path.join(work, os.path.basename(folder) + "-meant")
    save_meant(plain, decoded_by_numpy(folder, source), source)
    target = "W4A16" if "W4A16" not in label else "FP8_DYNAMIC"
    quantize(strata, folder, folder + "-re", "--scheme", target)
    quantize(strata, plain, plain + "-re", "--scheme", target)
    ours, theirs = (cast_fp8.read(f) for f in (folder + "-re", plain + "-re"))
    check(f"{label}: requantizes as its values", set(ours) == set(theirs) and all(same_tensor(ours[n], theirs[n]) for n in ours))
    ids = ids_file(work, 256)
    kl = json.loads(run(strata, "eval", folder + "-re", "--against", folder, "--tokens", ids, "--window", "16", "--json"))
    check(f"{label}: evaluates", 0 < kl["weights_only"]["kl_mean"] < 1, kl["weights_only"]["kl_mean"])
    kept, stored = quantize(strata, folder, folder + "-keep", "--scheme", "KEEP"), cast_fp8.read(folder)
    check(f"{label}: KEEP copies", set(kept) == set(stored) and all(same_tensor(kept[n], stored[n]) for n in kept), len(kept))
    code, text = run(strata, "verify", folder + "-keep", "--source", folder, fails=True)
    check(f"{label}: verify", code == 0, text.strip()[:200])


def main(strata):
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as work:
        golden = os.path.join(ROOT, "tests", "golden", "models")
        sources = {n: os.path.join(golden, n) for n in ("llama", "mistral", "qwen3", "qwen3-moe")}
        trained = os.path.join(ROOT, "..", "shared", "fixtures", "models", "qwen3-dense")
        if os.path.isdir(trained):
            sources["qwen3-dense"] = trained
        tiled, dense = os.path.join(work, "tiled"), os.path.join(work, "tiled-dense")
        make_block_moe.build().save_pretrained(tiled)
        make_block_moe.build(dense=True).save_pretrained(dense)
        for name, source in sources.items():
            for kind in ("tensor", "block"):
                check_storage(strata, name, kind, source, work)
        for kind in ("tensor", "block", "dynamic", "block_f32", "block_e8m0", "mxfp8", "mxfp4", "nvfp4"):
            _, copied = check_storage(strata, "tiled", kind, tiled, work, thorough=kind in ("block", "nvfp4"))
            check(f"tiled {kind}: every Linear is copied", copied == 23, copied)
        check_mixed(strata, dense, work)
        for scheme in ("NVFP4A16", "FP8_DYNAMIC"):
            ours = os.path.join(work, f"ours-{scheme}")
            quantize(strata, dense, ours, "--scheme", scheme)
            check_compressed(strata, f"our {scheme}", ours, dense, work)
        for scheme in ("W4A16", "FP8_DYNAMIC"):
            theirs = os.path.join(work, f"theirs-{scheme}")
            write_compressed(dense, theirs, scheme)
            check_compressed(strata, f"their {scheme}", theirs, dense, work)
    if failures:
        sys.exit(f"FAILED: {', '.join(failures)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
