"""Prices of a model, and KL(source || output) of assignments: what all tables are made of."""

import concurrent.futures
import json
import os
import shutil
import tempfile

from fixtures import Texts
from prices import read_prices
from program import file_digest

PROBES = 8


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Bench:
    """One fixture with its texts. Everything measured is remembered below `work`."""

    def __init__(self, program, fixture, work, threads):
        self.program, self.fixture, self.threads = program, fixture, threads
        self.texts = Texts(program, fixture, os.path.join(work, "text", fixture.name))
        self.text = self.texts.calibration()
        self.linears = None  # names of all Linears that units have, known with the first prices

    def prices(self, menu, bits=16.0, text=None, probes=PROBES, options=(), heldout=None):
        """A run that chooses within `bits`; 16 prices everything and keeps it. `heldout`: (file, tokens) to measure the choice on."""
        path, samples, window = text or self.text
        arguments = ["-b", str(bits), "--formats", ",".join(menu), "--probes", str(probes), "--nsamples", str(samples),
                     "--seqlen", str(window), *options]
        if heldout:
            arguments += ["--heldout", heldout[0], "--heldout-tokens", str(heldout[1]), "--allow-tail"]

        def make():
            with tempfile.TemporaryDirectory() as place:
                out = os.path.join(place, "out")
                self.program.run("quantize", self.fixture.folder, "-o", out, "--dataset", path, *arguments, "--allow-nothing", "--threads",
                                 str(self.threads), "-q")
                return {"costs": read(out + ".work/costs.csv").splitlines(), "prices": read(out + ".work/prices.json"),
                        "linears": list(json.loads(read(out + ".work/assignment.json"))["linears"]),
                        "measured": json.loads(read(out + ".work/measured.json"))["candidates"] if heldout else []}

        answer = self.program.remembered(["prices", self.fixture.name, file_digest(path), arguments], make)
        self.linears = answer["linears"]
        return read_prices(answer["costs"], self.linears, answer["prices"], answer["measured"])

    def chosen(self, prices, bits, options=()):
        """What `strata allocate` chooses within `bits`: {unit: format}."""
        with tempfile.TemporaryDirectory() as place:
            with open(os.path.join(place, "prices.json"), "w", encoding="utf-8") as file:
                file.write(prices.file)
            out = os.path.join(place, "assignment.json")
            self.program.run("allocate", place, "-b", str(bits), "-o", out, "-q", *options)
            linears = json.loads(read(out))["linears"]
        return {unit.name: linears[unit.members[0]]["format"] for unit in prices.units}

    def kl(self, prices, assignment, text=None):
        """Figures of `strata eval` for an assignment, rendered with the statistics that prices were taken with."""
        return self.all_kl(prices, [assignment], [text or self.texts.evaluation()])[0][0]

    def all_kl(self, prices, assignments, texts=None):
        """The same of many, each on every one of `texts`; two at a time with a thread each."""
        texts = texts or [self.texts.evaluation()]
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda one: self._figures(prices, one, texts), assignments))

    def _figures(self, prices, assignment, texts):
        formats = {linear: {"format": assignment[unit.name]} for unit in prices.units for linear in unit.members}
        questions = [["kl", self.fixture.name, file_digest(self.text[0]), formats, file_digest(path)] for path, _ in texts]
        with tempfile.TemporaryDirectory() as place:
            out = os.path.join(place, "out")

            def measure(path, tokens):
                if not os.path.exists(out):
                    self.render(formats, out)
                found = self.program.json("eval", out, "--against", self.fixture.folder, "--tokens", path, "--max-tokens", str(tokens),
                                          "--threads", "1")
                return {"served": found["kl_mean"], "served_error": found["kl_se"], "weights": found["weights_only"]["kl_mean"],
                        "weights_error": found["weights_only"]["kl_se"]}

            return [self.program.remembered(question, lambda text=text: measure(*text)) for question, text in zip(questions, texts)]

    def render(self, formats, out):
        """Writes the output that has these formats."""
        path, samples, window = self.text
        assignment = out + ".formats.json"
        with open(assignment, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "linears": {name: formats.get(name, {"format": "KEEP"}) for name in self.linears}}, file)
        self.program.run("quantize", self.fixture.folder, "-o", out, "--assignment", assignment, "--dataset", path, "--nsamples",
                         str(samples), "--seqlen", str(window), "--allow-nothing", "--threads", "1", "-q")
        shutil.rmtree(out + ".work")
