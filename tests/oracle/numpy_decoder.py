"""Decodes the Linears of a compressed-tensors checkpoint with numpy alone.

Written from docs/output-format.md, sharing no code with the program or with compressed-tensors, so that tests
can compare three readings of the same bytes.

    decode_module(tensors, base, scheme) -> float32 [out, in]

`tensors` maps names to numpy arrays (bfloat16 as uint16 bits, E4M3 as uint8 codes, see read_safetensors);
`base` is the module name; `scheme` is a config group, or a format name of the program such as "NVFP4".
"""

import json
import struct

import numpy as np

# name: layout, bits, group size (0: one scale a row, -1: one for all, -128: tiles of 128 x 128), symmetric
SCHEMES = {
    "NVFP4": ("nvfp4-pack-quantized", 4, 16, True),
    "NVFP4A16": ("nvfp4-pack-quantized", 4, 16, True),
    "MXFP4": ("mxfp4-pack-quantized", 4, 32, True),
    "MXFP4A16": ("mxfp4-pack-quantized", 4, 32, True),
    "MXFP4XFP8": ("mxfp4-pack-quantized", 4, 32, True),
    "MXFP6A16": ("mxfp6-pack-quantized", 6, 32, True),
    "MXFP6A8": ("mxfp6-pack-quantized", 6, 32, True),
    "MXFP8": ("mxfp8-quantized", 8, 32, True),
    "MXFP8A16": ("mxfp8-quantized", 8, 32, True),
    "FP8": ("float-quantized", 8, -1, True),
    "FP8_DYNAMIC": ("float-quantized", 8, 0, True),
    "FP8_BLOCK": ("float-quantized", 8, -128, True),
    "W4A16": ("pack-quantized", 4, 128, True),
    "W4A16_G64": ("pack-quantized", 4, 64, True),
    "W4A16_G32": ("pack-quantized", 4, 32, True),
    "W4A16_ASYM": ("pack-quantized", 4, 128, False),
    "W4A16_G64_ASYM": ("pack-quantized", 4, 64, False),
    "W4A16_G32_ASYM": ("pack-quantized", 4, 32, False),
    "W8A16": ("pack-quantized", 8, 128, True),
    "W8A16_CHANNEL": ("pack-quantized", 8, 0, True),
    "INT8": ("int-quantized", 8, 0, True),
    "BF16": ("dense", 16, 0, True),
    "KEEP": ("dense", 16, 0, True),
}
E2M3 = np.array([(i / 8 if i < 8 else (1 + i % 8 / 8) * 2.0 ** (i // 8 - 1)) * s for s in (1, -1) for i in range(32)],
                np.float32)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
# How a type of the file is held in numpy: BF16 and F8_E4M3 have no type there.
DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64, "I32": np.int32,
    "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_, "F8_E4M3": np.uint8,
}


def e4m3_table():
    values = np.empty(256, np.float32)
    for code in range(256):
        exponent, mantissa = code >> 3 & 15, code & 7
        magnitude = mantissa * 2.0**-9 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
        if code & 127 == 127:
            magnitude = np.nan
        values[code] = -magnitude if code & 128 else magnitude
    return values


E4M3 = e4m3_table()


class Tensors(dict):
    """Arrays by name; `kinds` has the dtype string of each as the file spells it."""

    def __init__(self):
        super().__init__()
        self.kinds = {}


def read_safetensors(path, into=None):
    tensors = Tensors() if into is None else into
    with open(path, "rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
        body = file.read()
    for name, info in header.items():
        if name == "__metadata__":
            continue
        begin, end = info["data_offsets"]
        array = np.frombuffer(body[begin:end], DTYPES[info["dtype"]])
        tensors[name] = array.reshape(info["shape"])
        tensors.kinds[name] = info["dtype"]
    return tensors


def read_checkpoint(folder):
    """All tensors of a model folder."""
    import glob
    import os

    tensors = Tensors()
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        read_safetensors(path, tensors)
    return tensors


def as_float32(tensors, name):
    array, kind = tensors[name], tensors.kinds[name]
    if kind == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    if kind == "F8_E4M3":
        return E4M3[array]
    return array.astype(np.float32)


def nibbles(packed):
    """uint8 [rows, n] -> codes [rows, 2n], the low half first."""
    return np.stack((packed & 15, packed >> 4), -1).reshape(packed.shape[0], -1)


def sixes(packed):
    """uint8 [rows, 3n] -> codes [rows, 4n]: four codes a little-endian word of 24 bits."""
    triples = packed.reshape(packed.shape[0], -1, 3).astype(np.uint32)
    words = triples[..., 0] | triples[..., 1] << 8 | triples[..., 2] << 16
    return np.stack([words >> shift & 63 for shift in (0, 6, 12, 18)], -1).reshape(packed.shape[0], -1)


def integers(words, bits):
    """int32 words [rows, n] -> offset-binary codes [rows, 32 / bits * n], the low bits first."""
    octets = np.ascontiguousarray(words).view(np.uint8).reshape(words.shape[0], -1)
    return nibbles(octets) if bits == 4 else octets


def layout_of(scheme):
    if isinstance(scheme, str):
        return SCHEMES[scheme]
    weights = scheme["weights"]
    group = {"tensor": -1, "channel": 0, "block": -128}.get(weights["strategy"], weights.get("group_size"))
    return scheme["format"], weights["num_bits"], group, weights["symmetric"]


def spread(scale, group, shape):
    """One scale for every element of a weight of this shape."""
    if group == -1:
        return scale.reshape(1, 1)
    if group == -128:
        return np.repeat(np.repeat(scale, 128, 0), 128, 1)[: shape[0], : shape[1]]
    return scale.reshape(-1, 1) if group == 0 else np.repeat(scale, group, axis=1)


def decode_module(tensors, base, scheme):
    layout, bits, group, symmetric = layout_of(scheme)
    if layout == "dense":
        return as_float32(tensors, f"{base}.weight")
    if layout.startswith("mx"):
        scale = np.ldexp(np.float32(1), tensors[f"{base}.weight_scale"].astype(np.int32) - 127)
    else:
        scale = as_float32(tensors, f"{base}.weight_scale")
    if layout == "nvfp4-pack-quantized":
        scale = scale / as_float32(tensors, f"{base}.weight_global_scale").reshape(())
    if layout in ("float-quantized", "mxfp8-quantized", "int-quantized"):
        values = as_float32(tensors, f"{base}.weight")
    elif layout == "pack-quantized":
        rows, columns = (int(n) for n in tensors[f"{base}.weight_shape"])
        values = integers(tensors[f"{base}.weight_packed"], bits).astype(np.float32)[:, :columns]
        if symmetric:
            values -= np.float32(2 ** (bits - 1))
        else:  # zero points are packed along the rows
            zero = integers(np.ascontiguousarray(tensors[f"{base}.weight_zero_point"].T), bits).T[:rows]
            values -= np.repeat(zero.astype(np.float32), group, axis=1)
    elif layout == "mxfp6-pack-quantized":
        values = E2M3[sixes(np.ascontiguousarray(tensors[f"{base}.weight_packed"]))]
    elif layout in ("nvfp4-pack-quantized", "mxfp4-pack-quantized"):
        values = E2M1[nibbles(np.ascontiguousarray(tensors[f"{base}.weight_packed"]))]
    else:
        raise ValueError(f"{base}: unknown layout {layout}")
    return values * spread(scale, group, values.shape)


def round_to_bf16(values):
    """Nearest even, still as float32. Finite values."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)
