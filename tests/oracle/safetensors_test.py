"""Files of the reference safetensors package are read by the program, the program's by the package.

Every element type; names beyond ASCII; damaged headers: what the program accepts, the package accepts too.
"""

import json
import os
import random
import struct
import sys
import tempfile

import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from starts import run_program

STRATA = os.path.abspath(sys.argv[1])
MODEL = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "demo", "model")

# torch's types and what stands in the header for them; the package writes neither F6 type.
WRITTEN = [(torch.bool, "BOOL"), (torch.uint8, "U8"), (torch.int8, "I8"), (torch.float8_e5m2, "F8_E5M2"),
           (torch.float8_e4m3fn, "F8_E4M3"), (torch.float8_e8m0fnu, "F8_E8M0"), (torch.float8_e4m3fnuz, "F8_E4M3FNUZ"),
           (torch.float8_e5m2fnuz, "F8_E5M2FNUZ"), (torch.int16, "I16"), (torch.uint16, "U16"), (torch.float16, "F16"),
           (torch.bfloat16, "BF16"), (torch.int32, "I32"), (torch.uint32, "U32"), (torch.float32, "F32"),
           (torch.complex64, "C64"), (torch.float64, "F64"), (torch.int64, "I64"), (torch.uint64, "U64")]


def write_model(folder, tensors=None, raw=None):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        file.write('{"architectures": ["NobodyKnows"]}')
    path = os.path.join(folder, "model.safetensors")
    if raw is None:
        save_file(tensors, path, {"format": "pt"})
        return
    with open(path, "wb") as file:
        file.write(raw)


def inspect(folder):
    done = run_program([STRATA, "inspect", folder, "--json", "--tensors"], capture_output=True, check=False)
    assert done.returncode in (0, 5), (done.returncode, done.stderr)
    return json.loads(done.stdout) if done.returncode == 0 else None


def listed(folder):
    answer = inspect(folder)
    assert answer is not None, f"{folder} was refused"
    return {entry["name"]: (entry["dtype"], entry["shape"]) for entry in answer["tensor_list"]}


def header_of(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"]) for name, entry in header.items()}


def accepted_by_the_package(raw):
    try:
        safetensors.deserialize(raw)
        return True
    except Exception:  # its error type is not public in every version
        return False


def damaged(generator, raw):
    """The file with one or two small changes; the length follows in half of the cases."""
    raw = bytearray(raw)
    if generator.random() < 0.25:  # harmless: another name, other bytes
        raw[raw.index(b'"a"') + 1] = generator.choice(b"a xyz_")
        raw[-generator.randint(1, 30)] ^= 255
        return bytes(raw)
    alphabet = b'{}[]",:0123456789-. u\\'
    for _ in range(generator.randint(1, 2)):
        at = generator.randrange(8, len(raw))
        kind = generator.randrange(4)
        if kind == 0:
            raw[at] = generator.choice(alphabet)
        elif kind == 1:
            del raw[at]
        elif kind == 2:
            raw.insert(at, generator.choice(alphabet))
        else:
            raw.append(0)
    end = raw.rfind(b"}") + 1
    if generator.random() < 0.5:
        raw[:8] = struct.pack("<Q", end - 8)
    return bytes(raw)


def every_type_is_read(folder):
    tensors = {f"t{i}.{n}": torch.empty(shape, dtype=dtype)
               for i, (dtype, _) in enumerate(WRITTEN) for n, shape in enumerate(([], [3], [2, 0], [2, 3, 4]))}
    tensors["fp4"] = torch.zeros(3, 4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    tensors["gew\u00f6hnlich \"quoted\" \\"] = torch.zeros(1)
    write_model(folder, tensors)
    seen, expected = listed(folder), header_of(os.path.join(folder, "model.safetensors"))
    assert seen == expected, (seen, expected)
    assert {dtype for dtype, _ in seen.values()} == {stored for _, stored in WRITTEN} | {"F4"}


def outputs_are_opened(folder):
    for scheme in ("NVFP4A16", "W4A16", "FP8_DYNAMIC", "BF16", "KEEP"):
        out = os.path.join(folder, scheme)
        run_program([STRATA, "quantize", MODEL, "-o", out, "--scheme", scheme, "--shard-size", "700kB", "-q"], check=True,
                    capture_output=True)
        with open(os.path.join(out, "model.safetensors.index.json"), encoding="utf-8") as file:
            text = file.read()
        index = json.loads(text)
        assert text == json.dumps(index, indent=2, sort_keys=True) + "\n", f"{scheme}: the index is not as transformers writes it"
        found, total = {}, 0
        for shard in sorted(set(index["weight_map"].values())):
            path = os.path.join(out, shard)
            with open(path, "rb") as file:
                length = struct.unpack("<Q", file.read(8))[0]
            assert (8 + length) % 8 == 0, f"{path}: data is not aligned"
            with safe_open(path, "pt") as opened:
                assert opened.metadata() == {"format": "pt", "writer": "strata"}, opened.metadata()
                for name in opened.keys():
                    assert index["weight_map"][name] == shard and name not in found
                    tensor = opened.get_tensor(name)
                    found[name] = list(tensor.shape)
                    total += tensor.numel() * tensor.element_size()
        assert total == index["metadata"]["total_size"] and found.keys() == index["weight_map"].keys()
        assert found == {name: shape for name, (_, shape) in listed(out).items()}, scheme


def damage_is_never_accepted_alone(folder):
    generator = random.Random(7)
    tensors = {name: torch.zeros(10, dtype=torch.uint8) for name in ("a", "b", "c")}
    write_model(folder, tensors)
    with open(os.path.join(folder, "model.safetensors"), "rb") as file:
        good = file.read()
    both = neither = stricter = 0
    for _ in range(60):
        raw = damaged(generator, good)
        write_model(folder, raw=raw)
        ours, theirs = inspect(folder) is not None, accepted_by_the_package(raw)
        assert theirs or not ours, f"only the program accepts {raw!r}"
        both += ours and theirs
        neither += not ours and not theirs
        if theirs and not ours:
            stricter += 1
            print("stricter than the package:", raw)
    print(f"{both} accepted by both, {neither} by neither, {stricter} by the package alone")
    assert both > 5 and neither > 30


def metadata_is_taken_as_the_package_takes_it(folder):
    accepted = []
    for form in ("null", "{}", '{"a": "b"}', '{"a": null}', '{"a": 1}', '{"a": {}}', "[]", '"pt"', "1", "true"):
        header = b'{"__metadata__": ' + form.encode() + b', "a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}'
        raw = struct.pack("<Q", len(header)) + header + b"x"
        write_model(folder, raw=raw)
        ours = inspect(folder) is not None
        assert ours == accepted_by_the_package(raw), f"__metadata__ {form}: read {ours}, the package {not ours}"
        accepted += [form] if ours else []
    assert accepted == ["null", "{}", '{"a": "b"}'], accepted


with tempfile.TemporaryDirectory(prefix="strata_oracle_") as temporary:
    every_type_is_read(os.path.join(temporary, "types"))
    outputs_are_opened(temporary)
    metadata_is_taken_as_the_package_takes_it(os.path.join(temporary, "metadata"))
    damage_is_never_accepted_alone(os.path.join(temporary, "damaged"))
print("ok with safetensors", safetensors.__version__)
