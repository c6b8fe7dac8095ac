"""`strata diff`: nothing, something, exit codes, lines, JSON."""

import json
import os
import shutil
import struct

from program import MODEL, check, check_error, finish, folder, strata

KEYS = ["same", "equal_tensors", "different_tensors", "only_a_tensors", "only_b_tensors", "config", "tensors", "linears"]

LINEAR = "model.layers.0.self_attn.o_proj"


def filled(target, value):
    """A copy of the model whose LINEAR has the same two bytes everywhere."""
    shutil.copytree(MODEL, target)
    for name in os.listdir(target):
        if not name.endswith(".safetensors"):
            continue
        with open(os.path.join(target, name), "r+b") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            tensor = json.loads(file.read(size)).get(LINEAR + ".weight")
            if tensor:
                begin, end = tensor["data_offsets"]
                file.seek(8 + size + begin)
                file.write(struct.pack("<H", value) * ((end - begin) // 2))
    return target


with folder() as temporary:
    out = os.path.join(temporary, "out")
    made = strata("quantize", MODEL, "-o", out, "--scheme", "FP8_DYNAMIC")
    check(made.code == 0, "quantize", made)

    same = strata("diff", out, out, "--exit-code")
    check(same.code == 0 and "the same" in same.out and same.err == "", "a folder and itself", same)
    answer = strata("diff", out, out + "/", "--json").json()
    check(list(answer) == KEYS and answer["same"] and answer["tensors"] == [], "as JSON", answer)

    quiet = strata("diff", MODEL, out)
    check(quiet.code == 0 and "different" in quiet.out and quiet.err == "", "0 unless asked", quiet)
    loud = strata("diff", MODEL, out, "--exit-code")
    check(loud.code == 1 and loud.out == quiet.out and "differs from" in loud.err, "1 when asked", loud)
    lines = quiet.out.split("\n\n")[1].splitlines()
    check(len(lines) == 41 and lines[-1].startswith("and "), "40 lines and how many more", quiet)
    check(len(strata("diff", MODEL, out, "--lines", "3").out.split("\n\n")[1].splitlines()) == 4, "--lines")

    answer = strata("diff", MODEL, out, "--json").json()
    check(not answer["same"] and len(answer["tensors"]) == sum(answer[k] for k in KEYS[2:5]), "counts", answer)
    figures = [linear["sqnr_db"] for linear in answer["linears"]]
    check(figures == sorted(figures) and 29 < figures[0] <= figures[-1] < 34, "FP8 has 31 dB", figures)
    check({(linear["a"], linear["b"]) for linear in answer["linears"]} == {("BF16", "FP8_DYNAMIC")}, "formats", answer)
    check(all(key["key"].startswith("quantization_config") and key["a"] is None for key in answer["config"]), "config")

    zeros, minus, nans = (filled(os.path.join(temporary, str(v)), v) for v in (0, 0x8000, 0x7FFF))
    for a, b, expected in ((zeros, MODEL, "-inf"), (MODEL, nans, "-inf"), (zeros, minus, None), (MODEL, zeros, 0.0)):
        answer = strata("diff", a, b, "--json").json()
        check([x["sqnr_db"] for x in answer["linears"]] == [expected], f"dB of {a} and {b}", answer)
    answer = strata("verify", out, "--source", zeros, "--deep", "--json").json()
    check(answer["quality"][0]["linear"] == LINEAR and answer["quality"][0]["sqnr_db"] == "-inf", "verify", answer)

    check_error(strata("diff", MODEL), 2, "B: missing")
    check_error(strata("diff", MODEL, out + ".absent"), 5, ".absent")
finish()
