"""`strata diff`: nothing, something, exit codes, lines, JSON."""

import os

from program import MODEL, check, check_error, finish, folder, strata

KEYS = ["same", "equal_tensors", "different_tensors", "only_a_tensors", "only_b_tensors", "config", "tensors", "linears"]

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

    check_error(strata("diff", MODEL), 2, "B: missing")
    check_error(strata("diff", MODEL, out + ".absent"), 5, ".absent")
finish()
