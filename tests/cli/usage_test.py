"""Wrong usage: exit 2, one line that names the flag and what was meant, nothing touched."""

import os

from program import CALIBRATION, MODEL, check, check_error, finish, folder, strata

check_error(strata("quantise"), 2, "quantise: there is no such command (did you mean quantize?)")
check_error(strata("frobnicate"), 2, "one of ")
check_error(strata("formats", "--jsno"), 2, "--jsno: there is no such option (did you mean --json?)")
check_error(strata("formats", "surplus"), 2, "surplus: one argument too many")
check_error(strata("inspect"), 2, "MODEL: missing")
check_error(strata("inspect", MODEL, "-m", MODEL), 2, "MODEL: given twice")
check_error(strata("inspect", ""), 2, "the path is empty")

with folder() as temporary:
    out = os.path.join(temporary, "out")

    def quantize(*options):
        return strata("quantize", MODEL, "-o", out, *options)

    check_error(strata("quantize", MODEL, "--scheme", "BF16"), 2, "--output: missing")
    check_error(quantize(), 2, "--scheme: missing; one of", "NVFP4A16", "--assignment FILE")
    check_error(quantize("--scheme", "NVFP4A61"), 2, "--scheme", "did you mean NVFP4A16?")
    check_error(quantize("--scheme", "BF16", "--method", "rnt"), 2, "--method", "did you mean rtn?")
    check_error(quantize("--scheme", "BF16", "--parity", "llm-compressor"), 2, "--parity", "compressed-tensors")
    check_error(quantize("--scheme", "BF16", "--parity", "compressed-tensors", "--method", "scale-search"), 2, "--method", "--parity")
    check_error(quantize("--scheme", "BF16", "--kv-cache", "int8"), 2, "--kv-cache", "fp8")
    check_error(quantize("--scheme", "BF16", "--kv-cache", "fp8"), 2, "--kv-cache fp8", "--dataset")
    check_error(quantize("--assignment", os.path.join(temporary, "none.json")), 5, "none.json")
    check_error(quantize("--shceme", "BF16"), 2, "did you mean --scheme?")
    check_error(quantize("--scheme"), 2, "--scheme: the value FORMAT is missing")
    check_error(quantize("--scheme", "--force"), 2, "--scheme: the value FORMAT is missing")
    check_error(quantize("--scheme", "BF16", "--scheme", "KEEP"), 2, "--scheme: given 2 times")
    check_error(quantize("--scheme", "BF16", "--max-memory", "much"), 2, "--max-memory: 'much' is not a size")
    check_error(quantize("--scheme", "BF16", "--shard-size", "0"), 2, "--shard-size")
    check_error(quantize("--scheme", "BF16", "--disk", "0"), 2, "--disk")
    for option, wrong, right in [("--io", "raid", "direct"), ("--resume", "maybe", "require"), ("--boundary", "f16", "bf16")]:
        check_error(quantize("--scheme", "BF16", option, wrong), 2, option, right)
    for time in ["soon", "50m3h", "3h50", "-5m", "0"]:
        check_error(quantize("--scheme", "BF16", "--deadline=" + time), 2, "--deadline", time)
    for count in ["--nsamples", "--seqlen", "--threads"]:
        check_error(quantize("--scheme", "BF16", count, "0"), 2, count, "1 or more")
        check_error(quantize("--scheme", "BF16", count, "-3"), 2, count, "1 or more")
        check_error(quantize("--scheme", "BF16", count, "many"), 2, count, "not a whole number")
    check_error(quantize("--scheme", "BF16", "--part", "third"), 2, "--part")
    check_error(quantize("--scheme", "BF16", "--override", "x"), 2, "--override", "PATTERN=FORMAT")
    check_error(quantize("--scheme", "BF16", "--override", "x=FP8_DYNAMC"), 2, "--override", "FP8_DYNAMIC")
    check_error(quantize("--scheme", "BF16", "--ignore", "re:(x"), 2, "re:(x")
    check_error(quantize("--scheme", "BF16", "--ignore", "*.no_such_proj"), 2, "*.no_such_proj", "match")
    check_error(quantize("--scheme", "BF16", "--override", "re:.*no_such=KEEP"), 2, "re:.*no_such", "match")
    check_error(quantize("--scheme", "NVFP4"), 2, "--dataset", "NVFP4A16")
    check_error(quantize("--scheme", "BF16", "--device", "cuda:0"), 2, "cuda:0")
    check_error(quantize("--scheme", "BF16", "--device", "gpu"), 2, "gpu")
    for option in [["--probes", "4"], ["--flip-tokens", "0"], ["--store", "all"], ["--risk", "1"], ["--price", "fisher-trace"],
                   ["--max-source-ppl", "9"], ["--allow-tail"], ["--heldout-tokens", "99"], ["--no-records"], ["--polish", "2"],
                   ["--formats", "NVFP4,BF16"]]:
        check_error(quantize("--scheme", "BF16", *option), 2, option[0] + ": needs -b BITS or --target-size SIZE")
    check(os.listdir(temporary) == [], "wrong usage leaves nothing behind", os.listdir(temporary))

    # Underscores for dashes, '=', schemes in any case.
    result = strata("quantize", "--output_dir=" + out, "--shard_size=1MB", "--scheme", "fp8_dynamic", "-m", MODEL, "-q")
    check(result.code == 0 and result.err == "", "underscores are accepted", result)
    check_error(quantize("--scheme", "BF16"), 2, "exists already", "--force")
    check(sorted(os.listdir(temporary)) == ["out", "out.work"], "output and work directory", os.listdir(temporary))

    # A trailing slash of OUT does not move the work directory into it.
    check(strata("quantize", MODEL, "-o", os.path.join(temporary, "slash/"), "--scheme", "KEEP", "-q").code == 0, "OUT/")
    check(os.path.exists(os.path.join(temporary, "slash.work", "events.jsonl")), "OUT.work stands beside OUT/")

    ids = os.path.join(temporary, "ids.safetensors")
    evaluate = ["eval", out, "--against", MODEL]
    check_error(strata(*evaluate), 2, "--dataset")
    check_error(strata(*evaluate, "--dataset", CALIBRATION, "--tokens", ids), 2, "not both")
    check_error(strata("eval", out, "--dataset", CALIBRATION), 2, "--against: missing")
    check_error(strata(*evaluate, "--dataset", CALIBRATION, "--window", "0"), 2, "--window")
    check_error(strata(*evaluate, "--dataset", CALIBRATION, "--decode", "f16"), 2, "--decode", "did you mean bf16?")
    check_error(strata("tokenize", MODEL, "--dataset", CALIBRATION), 2, "--output: missing")
    check_error(strata("tokenize", MODEL, "--dataset", CALIBRATION, "-o", ids, "--nsamples", "3"), 2, "--seqlen")
    check(strata("tokenize", MODEL, "--dataset", CALIBRATION, "-o", ids).code == 0, "tokenize")
    check_error(strata("tokenize", MODEL, "--dataset", CALIBRATION, "-o", ids), 2, "exists already", "--force")
    check(strata("tokenize", MODEL, "--dataset", CALIBRATION, "-o", ids, "--force").code == 0, "tokenize --force")
    check_error(strata("logits", MODEL, "-o", ids), 2, "--tokens: missing")
    check_error(strata("logits", MODEL, "--tokens", ids, "-o", ids), 2, "which is read")
finish()
