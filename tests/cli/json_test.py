"""--json of every command is one JSON document with the documented keys; without it there is a table."""

import os

from program import CALIBRATION, COMMANDS, HELDOUT, MODEL, check, finish, folder, strata

FIGURES = ["kl_mean", "kl_se", "kl_p99", "kl_p999", "top1_agreement", "ppl_reference", "ppl", "tokens"]
PLAN = ["family", "layers", "experts", "source_bytes", "output_bytes", "output_known", "tensor_bytes", "shards", "bits_per_parameter",
        "peak_memory", "memory_limit", "threads", "states_in_memory", "layers_in_flight", "work_disk", "bytes_read", "bytes_written",
        "free_disk", "linears_per_format", "decisions", "tensor_parallel", "nothing_quantized", "units", "options", "visits", "seconds", "sweeps"]


def size_of(path):
    return sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path))


with folder() as temporary:
    out, ids, logits = (os.path.join(temporary, name) for name in ["out", "ids.safetensors", "logits.safetensors"])
    scheme = ["--scheme", "NVFP4", "--dataset", CALIBRATION, "--nsamples", "4", "--seqlen", "64"]
    measure = ["eval", out, "--against", MODEL, "--dataset", HELDOUT, "--window", "64", "--max-tokens", "512"]
    answers, tables = {}, {}
    mixed = os.path.join(temporary, "mixed")
    check(strata("quantize", MODEL, "-o", mixed, "-b", "6", "--formats", "NVFP4A16,BF16", *scheme[2:]).code == 0, "prices for allocate")
    for name, arguments in {
        "allocate": ["allocate", mixed + ".work", "-b", "5"],
        "formats": ["formats"],
        "profiles": ["profiles"],
        "doctor": ["doctor", MODEL],
        "inspect": ["inspect", MODEL],
        "plan": ["plan", MODEL, *scheme],
        "quantize": ["quantize", MODEL, "-o", out, *scheme],
        "verify": ["verify", out, "--source", MODEL],
        "diff": ["diff", MODEL, out],
        "eval": measure,
        "tokenize": ["tokenize", MODEL, "--dataset", HELDOUT, "--seqlen", "32", "--nsamples", "2", "-o", ids],
        "logits": ["logits", out, "--tokens", ids, "-o", logits],
        "status": ["status", out + ".work"],
        "clean": ["clean", out + ".work"],
    }.items():
        result = strata(*arguments, "--json")
        check(result.code == 0 and result.out.startswith("{"), f"{name} --json", result)
        answers[name] = result.json()
        force = ["--force"] if name in ["quantize", "tokenize", "logits"] else []
        table = strata(*arguments, *force)
        check(table.code == 0 and table.out and not table.out.startswith("{"), f"{name} prints for people", table)
        check("\x1b" not in table.out, "no escape codes in results", table)
        tables[name] = table.out
    check(sorted(answers) == COMMANDS, "every command is covered", sorted(answers))

    formats = {entry["name"]: entry for entry in answers["formats"]["formats"]}
    check(formats["NVFP4"]["needs_calibration"] and not formats["W4A16"]["needs_calibration"], "formats: calibration")
    check(formats["KEEP"]["bits_per_weight"] is None and formats["NVFP4"]["bits_per_weight"] == 4.5, "formats: bits")
    check("rtn" in [method["name"] for method in answers["formats"]["methods"]], "formats: methods")
    for name in formats:
        check(f"\n{name} " in tables["formats"], f"formats lists {name}", tables["formats"])
    families = {entry["name"]: entry["architectures"] for entry in answers["profiles"]["profiles"]}
    check(families.get("llama") == ["LlamaForCausalLM"], "profiles", families)

    doctor = answers["doctor"]
    check(doctor["cores"] > 0 and doctor["memory_available"] > 0 and doctor["disk_free"] > 0, "doctor", doctor)
    check(doctor["model"]["io"] == "pread" and "not measured" in doctor["model"]["reason"], "doctor: small files", doctor)
    check("--io auto" in tables["doctor"], "doctor says what --io auto takes", tables["doctor"])
    here = strata("doctor", "--json").json()
    check(here["model"] is None and here["direct"]["works"] in [True, False, None], "doctor without a model", here)

    inspected = answers["inspect"]
    check(inspected["family"] == "qwen3_moe" and inspected["layers"] == 4 and inspected["experts"] == 8, "inspect", inspected)
    check(sum(kind["bytes"] for kind in inspected["kinds"]) == inspected["bytes"], "kinds add up", inspected)
    check(sum(inspected["dtype_bytes"].values()) == inspected["bytes"], "dtypes add up", inspected)
    listing = strata("inspect", MODEL, "--tensors", "--json").json()["tensor_list"]
    check(len(listing) == inspected["tensors"], "--tensors lists all", len(listing))
    norm = next(tensor for tensor in listing if tensor["name"] == "model.norm.weight")
    check(norm["shape"] == [inspected["hidden"]] and norm["file"].endswith(".safetensors"), "--tensors", norm)
    check("model.norm.weight" in strata("inspect", MODEL, "--tensors").out, "--tensors for people")

    check(list(answers["plan"]) == PLAN, "plan has every field", answers["plan"])
    check(answers["plan"]["output_bytes"] == size_of(out), "plan equals the written bytes", (answers["plan"], size_of(out)))
    check(answers["quantize"]["output"] == out and answers["quantize"]["seconds"] > 0, "quantize", answers["quantize"])

    evaluated = answers["eval"]
    check(list(evaluated) == [*FIGURES, "activations", "runtime", "decode", "weights_only"], "keys of eval", evaluated)
    check(list(evaluated["weights_only"]) == FIGURES, "keys of weights_only", evaluated)
    check(evaluated["activations"] == "served" and evaluated["decode"] == "f32", "modes of eval", evaluated)
    check(evaluated["tokens"] == 512 and 0 < evaluated["weights_only"]["kl_mean"] < 1, "figures of eval", evaluated)
    dense = strata(*measure, "--activations", "none", "--decode", "bf16", "--json").json()
    check(dense["activations"] == "none" and dense["decode"] == "bf16", "modes of eval", dense)
    check({key: dense[key] for key in FIGURES} == dense["weights_only"], "weights_only is there in every mode", dense)
    check(abs(dense["kl_mean"] / evaluated["weights_only"]["kl_mean"] - 1) < 0.1, "both agree on the weights", dense)

    tokens = answers["tokenize"]
    check(tokens["rows"] == 2 and tokens["columns"] == 32 and tokens["tokens"] == 64, "tokenize", tokens)
    check(len(tokens["hash"]) == 32 and tokens["hash"] in tables["tokenize"], "tokenize prints the hash", tokens)
    check(answers["verify"]["ok"] is True and answers["verify"]["failures"] == [], "verify", answers["verify"])
finish()
