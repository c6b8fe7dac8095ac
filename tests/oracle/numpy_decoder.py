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

SCHEMES = {
    "NVFP4": ("nvfp4-pack-quantized", 16),
    "NVFP4A16": ("nvfp4-pack-quantized", 16),
    "W4A16": ("pack-quantized", 128),
    "FP8_DYNAMIC": ("float-quantized", 0),
    "BF16": ("dense", 0),
    "KEEP": ("dense", 0),
}
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


def layout_of(scheme):
    if isinstance(scheme, str):
        return SCHEMES[scheme]
    return scheme["format"], scheme["weights"]["group_size"] or 0


def decode_module(tensors, base, scheme):
    layout, group = layout_of(scheme)
    if layout == "dense":
        return as_float32(tensors, f"{base}.weight")
    scale = as_float32(tensors, f"{base}.weight_scale")
    if layout == "float-quantized":
        codes = as_float32(tensors, f"{base}.weight")
        return codes * (scale.reshape(-1, 1) if scale.size > 1 else scale.reshape(()))
    packed = np.ascontiguousarray(tensors[f"{base}.weight_packed"])
    if layout == "pack-quantized":
        values = nibbles(packed.view(np.uint8)).astype(np.float32) - np.float32(8)
    elif layout == "nvfp4-pack-quantized":
        values = E2M1[nibbles(packed)]
        scale = scale / as_float32(tensors, f"{base}.weight_global_scale").reshape(())
    else:
        raise ValueError(f"{base}: unknown layout {layout}")
    return values * np.repeat(scale, group, axis=1)


def round_to_bf16(values):
    """Nearest even, still as float32. Finite values."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32)
