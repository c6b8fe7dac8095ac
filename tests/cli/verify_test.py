"""`strata verify` for people and for programs: figures of --deep, notes, failures and their exit code."""

import json
import os

from program import MODEL, check, finish, folder, strata

KEYS = ["ok", "failures", "notes", "quality", "facts"]

with folder() as temporary:
    out = os.path.join(temporary, "out")
    made = strata("quantize", MODEL, "-o", out, "--scheme", "W4A16")
    check(made.code == 0, "quantize", made)

    plain = strata("verify", out, "--json").json()
    check(list(plain) == KEYS and plain["quality"] == [] and plain["notes"] == [], "without --deep", plain)
    # Columns of o_proj and down_proj are in groups of 128, which are all that they have.
    check(plain["facts"]["tensor_parallelism"].startswith("1 (not 2: model.layers.0.self_attn.o_proj in W4A16: 64 columns"),
          "the devices that it can be spread over", plain["facts"])
    deep = strata("verify", out, "--source", MODEL, "--deep", "--json").json()
    quality = deep["quality"]
    check(deep["ok"] and len(quality) > 10, "every Linear is measured", deep)
    check(list(quality[0]) == ["linear", "format", "sqnr_db", "floor_db", "flagged"], "keys of a Linear", quality[0])
    figures = [linear["sqnr_db"] for linear in quality]
    check(figures == sorted(figures) and figures[0] > 10, "worst first", figures)
    check(all(linear["flagged"] == (linear["sqnr_db"] < linear["floor_db"]) for linear in quality), "flags", quality)

    text = strata("verify", out, "--source", MODEL, "--deep")
    check(text.code == 0 and f"The 10 worst of {len(quality)} Linears" in text.out, "ten are printed", text)
    check(quality[9]["linear"] in text.out and quality[-1]["linear"] not in text.out, "and no more", text)

    path = os.path.join(out, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)

    def verify(change):
        changed = json.loads(json.dumps(config))
        change(changed["quantization_config"])
        with open(path, "w", encoding="utf-8") as opened:
            json.dump(changed, opened)
        return strata("verify", out, "--json")

    def repeat(section):
        group = section["config_groups"]["group_00"]
        group["targets"].append(group["targets"][0] + "$")

    noted = verify(repeat)
    check(noted.code == 0 and {note["rule"] for note in noted.json()["notes"]} == {"overlap"}, "a note is no failure", noted)
    failed = verify(lambda section: section.pop("quantization_status"))
    rules = {failure["rule"] for failure in failed.json()["failures"]}
    check(failed.code == 6 and rules == {"config-schema"}, "a failure is", failed)
    check("quantization_status is missing" in failed.err, "and stands on stderr", failed)
finish()
