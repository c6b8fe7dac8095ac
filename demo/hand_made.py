"""hand_made.py STRATA MODEL OUTPUT FOLDER: what people make by hand of the bytes that OUTPUT takes.

OUTPUT is what `strata quantize -b` chose. Each rule begins with NVFP4 everywhere and spends the bytes of the same budget in its
own order, on the same units and formats, encoded from the same statistics. `strata eval` measures each on the text that
OUTPUT was measured on. Writes FOLDER/hand_made.json.
"""
import json
import pathlib
import subprocess
import sys

DEMO = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(DEMO.parent / "bench" / "quality"))
from assignments import attention_first, everywhere, filled, largest_error_first, outer_layers_first  # noqa: E402
from prices import read_prices  # noqa: E402

BITS = 5.75
CALIBRATION = ["--dataset", DEMO / "calibration.jsonl", "--nsamples", "96", "--seqlen", "256"]
HELD_OUT = ["--dataset", DEMO / "heldout.jsonl", "--window", "256", "--max-tokens", "16384"]


class Maker:
    def __init__(self, program, model, output, folder):
        self.program, self.model, self.folder = program, model, pathlib.Path(folder)
        work = pathlib.Path(f"{output}.work")
        self.linears = json.loads((work / "assignment.json").read_text())["linears"]
        self.prices = read_prices((work / "costs.csv").read_text().splitlines(), list(self.linears))

    def strata(self, *arguments):
        done = subprocess.run([self.program, *map(str, arguments), "-q"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"hand_made.py: strata {' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def write(self, name, assignment):
        """Its folder, which has the format that `assignment` says for each unit."""
        out = self.folder / name.replace(" ", "-")
        formats = {linear: {"format": assignment[unit.name]} for unit in self.prices.units for linear in unit.members}
        file = self.folder / f"{out.name}.json"
        file.write_text(json.dumps({"version": 1, "linears": {**self.linears, **formats}}))
        self.strata("quantize", self.model, "-o", out, "--assignment", file, *CALIBRATION, "--force")
        return out

    def weight_errors(self):
        """Of each unit in NVFP4: squared error of its weights, relative to their squares."""
        out = self.write("NVFP4", everywhere(self.prices, "NVFP4"))
        rows = json.loads(self.strata("verify", out, "--source", self.model, "--deep", "--json"))["quality"]
        error = {row["linear"]: 10 ** (-row["sqnr_db"] / 10) for row in rows}
        return {unit.name: sum(error[linear] for linear in unit.members) / len(unit.members) for unit in self.prices.units}

    def measure(self, name, order):
        assignment = filled(self.prices, "NVFP4", order, int(BITS * self.prices.parameters / 8))
        found = json.loads(self.strata("eval", self.write(name, assignment), "--against", self.model, *HELD_OUT, "--json"))
        return {"name": name, "same": assignment == self.prices.chosen, "bits_per_parameter": self.prices.bits_of(assignment),
                "kl_mean": found["kl_mean"], "kl_standard_error": found["kl_se"], "top1_agreement": found["top1_agreement"]}


def main():
    maker = Maker(*sys.argv[1:])
    rules = {"first and last layers BF16": outer_layers_first(maker.prices), "attention MXFP8": attention_first(maker.prices),
             "largest weight error first": largest_error_first(maker.prices, maker.weight_errors())}
    found = []
    for name, order in rules.items():
        print(f"  {name}", flush=True)
        found.append(maker.measure(name, order))
    (maker.folder / "hand_made.json").write_text(json.dumps(found))


main()
