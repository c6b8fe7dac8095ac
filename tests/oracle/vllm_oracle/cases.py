"""What is tried in vLLM. A case is one output of the program: its model, the flags that make it, what is compared."""

import dataclasses
import os

from safetensors.torch import load_file, save_file

SIXTEEN_BIT = ["NVFP4A16", "MXFP4A16", "MXFP8A16", "W4A16", "W4A16_G64", "W4A16_G32", "W4A16_ASYM", "W4A16_G64_ASYM",
               "W4A16_G32_ASYM", "W8A16", "W8A16_CHANNEL", "BF16", "KEEP"]
QUANTIZED = ["NVFP4", "MXFP4", "MXFP4XFP8", "MXFP8", "FP8", "FP8_DYNAMIC", "FP8_BLOCK", "INT8"]
# vLLM's CPU build quantizes their inputs itself: there is no way to leave them alone.
OWN_KERNEL = ["FP8_DYNAMIC", "INT8"]
ONE_SCHEME = ["MXFP4A16", "MXFP8A16"]  # to vLLM they are MXFP4 and MXFP8
NO_HEAD = ["FP8_BLOCK"]
DENSE = ["BF16", "KEEP"]  # only beside others: alone they leave nothing quantized


@dataclasses.dataclass
class Case:
    name: str
    model: object  # a folder, or the number of layers of a tiny one
    flags: list
    tied: str = None  # what a tiny one stores of its two ends: embedding, head; None: both
    kind: str = "case"  # case, cache, refused
    weights: bool = True  # compare with inputs left alone
    served: bool = False  # compare with inputs quantized
    routed: bool = False  # has routers that were trained


def needs(formats):
    """How a model in these formats is compared."""
    return dict(weights=not any(f in OWN_KERNEL for f in formats),
                served=any(f in QUANTIZED + ONE_SCHEME for f in formats))


def mix(name, formats):
    """Layer 2i has attention in format i and a dense MLP in the next, layer 2i + 1 experts in format i."""
    parts = {}
    for i, format in enumerate(formats):
        parts |= {f"{2 * i}.self_attn.*": format, f"{2 * i}.mlp.*": formats[(i + 1) % len(formats)],
                  f"{2 * i + 1}.mlp.experts.*": format}
    flags = [word for part, format in parts.items() for word in ("--override", f"*.layers.{part}={format}")]
    return Case(name, 2 * len(formats), ["--scheme", "KEEP", *flags], **needs(formats))


def head(format, model=2, name="tiny"):
    how = dict(kind="refused") if format in NO_HEAD else needs([format])
    return Case(f"{name} head {format}", model, ["--scheme", "KEEP", "--override", f"lm_head={format}"], **how)


def cache(format, model, name):
    """Of a trained dense model: in a random one attention hardly matters, and so do the scales; and an expert that is
    chosen otherwise weighs more than the cache."""
    return Case(f"{name} cache {format}", model, ["--scheme", format, "--kv-cache", "fp8"], kind="cache",
                served=format in QUANTIZED)


def brief(models):
    found = [mix("mix of formats that quantize inputs", [f for f in QUANTIZED if f not in OWN_KERNEL]),
             mix("mix of formats with kernels of vLLM", OWN_KERNEL),
             mix("mix of 16-bit formats", SIXTEEN_BIT),
             *[head(f) for f in ("NVFP4", "FP8_BLOCK", "INT8")],
             Case("tied, stored as embedding", 2, ["--scheme", "FP8_DYNAMIC"], tied="embedding", **needs(["FP8_DYNAMIC"])),
             Case("tied, stored as head", 2, ["--scheme", "FP8_DYNAMIC"], tied="head", kind="refused")]
    return found + [cache("W4A16", folder, name) for name, folder in models.items() if name == "qwen3-dense"]


def models_at_hand(root):
    shared = os.path.join(root, "..", "shared", "fixtures", "models")
    models = {"demo-moe": os.path.join(root, "demo", "model")}
    models |= {name: os.path.join(shared, name) for name in ("qwen3-dense", "qwen3-moe")}
    return {name: folder for name, folder in models.items() if os.path.isdir(folder)}


def whole(models):
    """The brief ones, and every format alone on every model at hand, as its head, and with a cache."""
    found, formats = brief(models), [f for f in SIXTEEN_BIT + QUANTIZED if f not in DENSE]
    for name, folder in models.items():
        for format in formats:
            if not (format == "FP8_BLOCK" and name == "demo-moe"):  # has 128 columns, for which there are no blocks
                found.append(Case(f"{name} {format}", folder, ["--scheme", format], routed=name.endswith("-moe"),
                                  **needs([format])))
        if name == "qwen3-dense":
            found += [cache(format, folder, name) for format in ("W4A16", "FP8_DYNAMIC")]
    found += map(head, formats)
    return list({case.name: case for case in found}.values())


def scale_cache(folder, factor):
    """Multiplies the scales of the cache in place."""
    for name in os.listdir(folder):
        if name.endswith(".safetensors"):
            path = os.path.join(folder, name)
            tensors = load_file(path)
            for key in tensors:
                if key.endswith((".k_scale", ".v_scale")):
                    tensors[key] = tensors[key] * factor
            save_file(tensors, path, metadata={"format": "pt"})
