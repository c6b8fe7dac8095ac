"""`strata plan --graph` shows the passes of the run, with and without calibration, for people and as JSON; docs/add-a-pass.md keeps up."""

import os
import re

from program import CALIBRATION, MODEL, ROOT, check, finish, strata

calibrated = ["plan", MODEL, "--scheme", "NVFP4", "--dataset", CALIBRATION, "--nsamples", "4", "--seqlen", "64"]
data_free = ["plan", MODEL, "--scheme", "W4A16"]
for arguments, expected in [(calibrated, ["decode", "propagate", "render", "assemble"]), (data_free, ["render", "assemble"])]:
    without, shown = strata(*arguments), strata(*arguments, "--graph")
    check("sweep 1" not in without.out, "no graph unless it is asked for", without)
    head, _, graph = shown.out.partition("\nsweep 1, forward\n")
    # Free disk and the like may differ between the two calls.
    check(shown.code == 0 and len(head.splitlines()) == len(without.out.splitlines()), "the plan stands before the graph", shown)
    check([line.split()[0] for line in graph.splitlines()] == expected, "one line a pass, in order", shown)
    check(all(" reads " in line and " writes " in line and " - " in line for line in graph.splitlines()), "facts", shown)

    plan = strata(*arguments, "--graph", "--json").json()
    check("graph" not in strata(*arguments, "--json").json(), "no graph in JSON unless it is asked for")
    check([sweep["direction"] for sweep in plan["graph"]] == ["forward"], "one sweep", plan["graph"])
    passes = {entry["name"]: entry for entry in plan["graph"][0]["passes"]}
    check(list(passes) == expected, "the same passes as JSON", plan["graph"])
    check(passes["render"]["reads"] == ["source", "assignment"] and passes["render"]["uses"] == ["moments", "weights"]
          and passes["render"]["writes"] == ["renders", "layer_tensors"], "facts of render", passes["render"])
    check(all(entry["version"] >= 1 and entry["summary"] for entry in passes.values()), "version and summary", passes)


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


guide = text_of("docs", "add-a-pass.md")
check(text_of("engine", "passes", "decode.cc") in guide, "docs/add-a-pass.md quotes decode.cc as it is")
header = text_of("engine", "graph", "facts.h")
facts = re.findall(r"^inline constexpr Fact<.*> (\w+)\{", header, re.M)
check(len(facts) >= 8, "the facts of the engine", facts)
for fact in facts:
    check(f"\n| `{fact}` |" in guide, f"docs/add-a-pass.md describes {fact}")
finish()
