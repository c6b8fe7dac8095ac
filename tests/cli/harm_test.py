"""What a run must never destroy or half-write, whatever stands where it works."""

import os
import shutil

import program
from program import CALIBRATION, MODEL, check, check_error, strata

SCHEME = ("--scheme", "NVFP4A16")


def contents(folder):
    return {name: open(os.path.join(folder, name), "rb").read() for name in sorted(os.listdir(folder))
            if os.path.isfile(os.path.join(folder, name))}


def write(path, text="years of work"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def sources(path):
    before = contents(MODEL)
    shutil.copytree(MODEL, path("m.partial"))
    check_error(strata("quantize", path("m.partial"), "-o", path("m"), *SCHEME), 2, "m.partial")
    check(contents(path("m.partial")) == before, "a source that is called OUT.partial stays")
    shutil.copytree(MODEL, path("m2"))
    check_error(strata("quantize", path("m2"), "-o", path("nosuch", "..", "m2"), *SCHEME, "--force"), 2, "source")
    check(contents(path("m2")) == before, "a source behind a missing folder stays")
    for work in (path("m2"), path("o"), path("o.partial")):
        check_error(strata("quantize", path("m2"), "-o", path("o"), "-w", work, *SCHEME), 2, "-w")
    check(contents(path("m2")) == before and not os.path.exists(path("o")), "records stay out of source and output")
    check_error(strata("logits", path("m2"), "--tokens", path("ids"), "-o", path("m2", "model-00001-of-00003.safetensors"),
                       "--force"), 2, "which is read")
    check(contents(path("m2")) == before, "logits do not replace a shard")


def strangers(path):
    write(path("u.partial", "thesis.txt"))
    check_error(strata("quantize", MODEL, "-o", path("u"), *SCHEME), 2, "thesis.txt")
    check(os.path.exists(path("u.partial", "thesis.txt")), "a stranger's OUT.partial stays")
    write(path("p", "config.json"), "{}")
    write(path("p", "src", "main.c"))
    check_error(strata("quantize", MODEL, "-o", path("p"), *SCHEME, "--force"), 2, "not a checkpoint")
    check(os.path.exists(path("p", "src", "main.c")), "a project with a config.json stays")
    os.symlink(path("nowhere"), path("dangling"))
    check_error(strata("quantize", MODEL, "-o", path("dangling"), *SCHEME), 2, "link")
    os.mkfifo(path("fifo"))
    check_error(strata("tokenize", MODEL, "--dataset", CALIBRATION, "-o", path("fifo"), "--force"), 2, "plain file")
    os.makedirs(path("q.work"))
    os.mkfifo(path("q.work", "events.jsonl"))
    check_error(strata("quantize", MODEL, "-o", path("q"), *SCHEME), 9, "events.jsonl")


def closed_descriptors(path):
    def close_all():
        for fd in (0, 1, 2):
            os.close(fd)

    strata("quantize", MODEL, "-o", path("closed"), *SCHEME, preexec_fn=close_all)
    check(strata("verify", path("closed"), "--source", MODEL).code == 0, "nothing is printed into a shard")


def values(path):
    shutil.copytree(MODEL, path("bom"))
    with open(path("bom", "config.json"), "rb") as file:
        text = file.read()
    with open(path("bom", "config.json"), "wb") as file:
        file.write(b"\xef\xbb\xbf" + text)
    check_error(strata("quantize", path("bom"), "-o", path("b"), *SCHEME), 5, "byte order mark")
    result = strata("quantize", MODEL, "-o", path("r"), "--scheme", "W4A16", "--override", "*.mlp.gate=FP8_DYNAMIC")
    check(result.code == 0 and "routers" in result.err, "a quantized router is a named decision", result)
    facts = strata("verify", path("r"))
    check("no: model.layers.0.mlp.gate" in facts.out, "and verify says who cannot load it", facts)
    check_error(strata("verify", path("r"), "--source", ""), 2, "--source")


def main():
    with program.folder() as temporary:
        def path(*parts):
            return os.path.join(temporary, *parts)

        strata("tokenize", MODEL, "--dataset", CALIBRATION, "-o", path("ids"), "--seqlen", "8", "--nsamples", "2")
        sources(path)
        strangers(path)
        closed_descriptors(path)
        values(path)
    program.finish()


main()
