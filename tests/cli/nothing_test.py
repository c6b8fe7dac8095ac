"""A run that would quantize nothing is refused, unless nothing was asked for or it is allowed; data that nobody reads is
named, not refused."""

import os

import program
from checkpoint import write_model
from program import CALIBRATION, MODEL, check, check_error, strata

LINEARS = 7  # of one layer; the head is kept by default


def refused(result, *texts):
    """The plan is printed, and the error follows."""
    check(result.code == 2, "exit 2", result)
    last = result.err.rstrip("\n").split("\n")[-1]
    for text in texts:
        check(text in last, f"the error says: {text}", result)


def nothing(path, model):
    texts = [f"nothing would be W4A16: {LINEARS} Linears are kept", "192 columns do not divide by 128", "W4A16_G64 takes 7 of them",
             "--allow-nothing"]
    plan = strata("plan", model, "--scheme", "W4A16")
    refused(plan, *texts)
    check("nothing is quantized" in plan.out and plan.out.count("192 columns do not divide") >= 3, "the plan is printed", plan)
    plan = strata("plan", model, "--scheme", "W4A16", "--json")
    refused(plan, *texts)
    check(texts[0] in plan.json()["nothing_quantized"], "and in JSON", plan)
    check_error(strata("quantize", model, "-o", path("out"), "--scheme", "W4A16"), 2, *texts)
    check(not os.path.exists(path("out")) and not os.path.exists(path("out.work")), "nothing is written", os.listdir(path()))

    allowed = strata("quantize", model, "-o", path("out"), "--scheme", "W4A16", "--allow-nothing", "--json")
    check(allowed.code == 0 and "written as allowed" in allowed.err, "--allow-nothing, told once", allowed)
    check(allowed.err.count(texts[0]) == 1, "it is one decision", allowed)
    verified = strata("verify", path("out"), "--source", model)
    check(verified.code == 0, "what is written is whole", verified)
    again = strata("quantize", model, "-o", path("again"), "--assignment", path("out.work", "assignment.json"))
    check(again.code == 0, "its assignment asks for nothing, and is taken again", again)


def on_purpose(path, model):
    for scheme in ("KEEP", "BF16"):
        result = strata("plan", model, "--scheme", scheme, "--json")
        check(result.code == 0 and result.json()["nothing_quantized"] is None, f"{scheme} asks for nothing", result)
    for override in ("*.o_proj=W4A16", "lm_head=W4A16"):
        result = strata("plan", model, "--scheme", "KEEP", "--override", override)
        refused(result, "nothing would be W4A16: 1 Linear is kept", "--allow-nothing")
    some = strata("plan", model, "--scheme", "W4A16", "--override", "*.o_proj=W4A16_G64", "--json")
    check(some.code == 0 and some.json()["nothing_quantized"] is None, "one Linear is enough", some)
    for kept in (["--ignore", "*"], ["--override", "re:.*=KEEP"]):
        refused(strata("plan", model, "--scheme", "W4A16_G64", *kept), "keep all of its 8 Linears", "--allow-nothing")


def coded(path):
    """A source whose codes are copied: what is asked is done where they are of the same kind, else it is not."""
    write_model(path("fits"), 256, 256, 1, 64)
    strata("quantize", path("fits"), "-o", path("coded"), "--scheme", "FP8_DYNAMIC", "-q")
    same = strata("plan", path("coded"), "--scheme", "FP8_DYNAMIC", "--json")
    check(same.code == 0 and same.json()["nothing_quantized"] is None, "the codes of the source are what was asked for", same)
    write_model(path("narrow"), 192, 192, 1, 64, num_attention_heads=2, num_key_value_heads=1)
    coded_narrow = strata("quantize", path("narrow"), "-o", path("narrow.fp8"), "--scheme", "FP8_DYNAMIC", "-q")
    check(coded_narrow.code == 0, "a coded source", coded_narrow)
    other = strata("plan", path("narrow.fp8"), "--scheme", "W4A16")
    refused(other, "nothing would be W4A16")
    check("kept in FP8_DYNAMIC instead of W4A16" in other.out, "it stays as it is stored", other)


def data(path, model):
    notice = "not used: nothing in this run learns from it"
    unread = ["--scheme", "W4A16_G64", "--method", "rtn", "--dataset", CALIBRATION]
    result = strata("quantize", model, "-o", path("unread"), *unread)
    check(result.code == 0 and result.err.count(notice) == 1, "data that nobody reads is named once", result)
    plan = strata("plan", model, *unread, "--json")
    check(plan.code == 0 and [one["subject"] for one in plan.json()["decisions"] if one["text"] == notice] == [CALIBRATION],
          "the plan says so too", plan)
    for more in (["--scheme", "KEEP"], ["--scheme", "W4A16_G64", "--parity", "compressed-tensors"]):
        result = strata("plan", model, *more, "--dataset", CALIBRATION)
        check(result.code == 0 and notice in result.out, "whatever the reason", result)
    for method in ("rtn", "scale-search"):
        check_error(strata("plan", model, "--scheme", "W4A16_G64", "--method", method, "--dataset", path("none.jsonl")), 5,
                    "none.jsonl", "no such data set")
    used = strata("plan", MODEL, "--scheme", "W4A16", "--dataset", CALIBRATION, "--nsamples", "2", "--seqlen", "8")
    check(used.code == 0 and notice not in used.out, "data that is read is not", used)


def main():
    with program.folder() as temporary:
        def path(*parts):
            return os.path.join(temporary, *parts)

        model = path("model")
        write_model(model, 192, 192, 1, 64, num_attention_heads=2, num_key_value_heads=1)
        nothing(path, model)
        on_purpose(path, model)
        coded(path)
        data(path, model)
    program.finish()


main()
