"""hand_made.py STRATA MODEL OUTPUT FOLDER: what people make by hand of the bytes that OUTPUT takes.

OUTPUT is what `strata quantize -b` chose. Each rule begins with NVFP4 everywhere and spends the same bytes in its own order, on
the same units, formats and renders; `strata eval` measures each on the same held-out text. The result is FOLDER/hand_made.json.
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench" / "quality"))
from assignments import attention_first, everywhere, filled, largest_error_first, outer_layers_first  # noqa: E402
from prices import read_prices  # noqa: E402

DEMO = pathlib.Path(__file__).resolve().parent
CALIBRATION = ["--dataset", DEMO / "calibration.jsonl", "--nsamples", "96", "--seqlen", "256"]
HELD_OUT = ["--dataset", DEMO / "heldout.jsonl", "--window", "256", "--max-tokens", "16384"]


def main():
    program, model, output, folder = sys.argv[1:]
    work, folder = pathlib.Path(f"{output}.work"), pathlib.Path(folder)
    linears = json.loads((work / "assignment.json").read_text())["linears"]
    prices = read_prices((work / "costs.csv").read_text().splitlines(), list(linears))

    def strata(*arguments):
        return subprocess.run([program, *map(str, arguments), "-q"], check=True, capture_output=True, text=True).stdout

    def write(name, assignment):
        formats = {linear: entry for linear, entry in linears.items()}
        formats |= {linear: {"format": assignment[unit.name]} for unit in prices.units for linear in unit.members}
        out = folder / name.replace(" ", "-")
        file = folder / f"{out.name}.json"
        file.write_text(json.dumps({"version": 1, "linears": formats}))
        strata("quantize", model, "-o", out, "--assignment", file, *CALIBRATION, "--force")
        return out

    low = everywhere(prices, "NVFP4")
    rows = json.loads(strata("verify", write("NVFP4 everywhere", low), "--source", model, "--deep", "--json"))["quality"]
    error = {row["linear"]: 10 ** (-row["sqnr_db"] / 10) for row in rows}
    rules = {"first and last layers BF16": outer_layers_first(prices), "attention in 8 bits": attention_first(prices),
             "largest weight error first": largest_error_first(prices, {
                 unit.name: sum(error[linear] for linear in unit.members) / len(unit.members) for unit in prices.units})}
    found = []
    for name, order in rules.items():
        assignment = filled(prices, "NVFP4", order, prices.bytes_of(prices.chosen))
        measured = json.loads(strata("eval", write(name, assignment), "--against", model, *HELD_OUT, "--json"))
        found.append({"name": name, "bits": prices.bits_of(assignment), "kl_mean": measured["kl_mean"], "kl_se": measured["kl_se"]})
        print(f"  {name}: measured", flush=True)
    (folder / "hand_made.json").write_text(json.dumps(found))


main()
