"""What every option of every unit costs, as `strata quantize -b` wrote it down."""

import csv
import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Option:
    bytes: int
    cost: float
    error: float  # standard
    jump: float = 0.0  # what it adds where tokens change experts


@dataclasses.dataclass(frozen=True)
class Unit:
    name: str
    members: tuple  # its Linears
    options: dict   # of each format

    @property
    def kind(self):
        if ".experts." in self.name:
            return "experts"
        return {"q_proj": "q/k/v", "gate_proj": "gate/up"}.get(self.name.rsplit(".", 1)[1], self.name.rsplit(".", 1)[1].split("_")[0])

    @property
    def layer(self):
        return int(self.name.split(".layers.")[1].split(".")[0])


@dataclasses.dataclass(frozen=True)
class Prices:
    units: tuple
    chosen: dict  # format of each unit
    file: str = ""  # prices.json as text
    measured: tuple = ()  # candidates of measured.json

    @property
    def parameters(self):
        return sum(unit.options["BF16"].bytes for unit in self.units) // 2

    def bytes_of(self, assignment):
        return sum(unit.options[assignment[unit.name]].bytes for unit in self.units)

    def bits_of(self, assignment):
        return 8 * self.bytes_of(assignment) / self.parameters

    def cost_of(self, assignment):
        return sum(option.cost for option in self.options_of(assignment))

    def predict(self, assignment):
        """KL as the program predicts it: jumps add up as lengths at right angles (docs/method.md)."""
        return self.cost_of(assignment) + math.hypot(*(option.jump for option in self.options_of(assignment)))

    def options_of(self, assignment):
        return [unit.options[assignment[unit.name]] for unit in self.units if assignment[unit.name] != "KEEP"]


def read_prices(costs, linears, file="", measured=()):
    """`costs`: lines of costs.csv; `linears`: names of assignment.json, in whose order members follow each other."""
    units, chosen = {}, {}
    for row in csv.DictReader(costs):
        name = row["unit"]
        if name not in units:
            first = linears.index(name)
            units[name] = Unit(name, tuple(linears[first:first + int(row["linears"])]), {})
        units[name].options[row["format"]] = Option(int(row["bytes"]), float(row["cost"]), float(row["standard_error"]), float(row["jump"]))
        if row["chosen"]:
            chosen[name] = row["format"]
    return Prices(tuple(units.values()), chosen, file, tuple(measured))
