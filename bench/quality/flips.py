"""Laws of what routing flips add to the price, tried on whole assignments of other text than the singles are measured on."""

import math
import statistics

from assignments import best, everywhere, single
from flip_law import LOW, FlipLaw
from ranks import agreement
from surrogate import LARGEST, MENU, drawn

OTHER = "FP8_DYNAMIC"     # 8 bits: how jumps grow with the price
EXPONENTS = (1, 1.5, 2, 3, math.inf)
SCALES = (0, 0.3, 0.4, 0.5, 0.6, 1)
CHOICE = ("NVFP4", "MXFP8", "BF16")
SLICE, SLICES = 1024, 16  # tokens that a single is measured on, and how often
BITS = (4.75, 6, 6.5, 7, 8, 12, 14)


def table(bench):
    prices = bench.prices(MENU)
    low = singles_in_slices(bench, prices)
    whole = [bench.texts.seen(0, SLICE * SLICES)]
    found = bench.all_kl(prices, [single(prices, unit, OTHER) for unit in prices.units], whole)
    other = {unit.name: figures[0] for unit, figures in zip(prices.units, found)}
    singles(bench, prices, low, other)
    if not bench.fixture.mixture:
        return
    assignments = [dict(one) for one in drawn(bench.fixture, prices)]
    measured = [figures[0]["served"] for figures in bench.all_kl(prices, assignments)]
    kept = [i for i, kl in enumerate(measured) if kl < LARGEST]
    trial = Trial(prices, [assignments[i] for i in kept], [measured[i] for i in kept])
    laws(bench, prices, trial, low, {name: one["served"] for name, one in other.items()})
    tokens(prices, trial, low)
    choices(bench, prices, FlipLaw(prices, means(low)))


def singles_in_slices(bench, prices):
    """{unit: KL of it alone in the law's format, on each of disjoint slices of the calibration text}."""
    slices = [bench.texts.seen(i * SLICE, SLICE) for i in range(SLICES)]
    found = bench.all_kl(prices, [single(prices, unit, LOW) for unit in prices.units], slices)
    return {unit.name: [one["served"] for one in figures] for unit, figures in zip(prices.units, found)}


def means(low):
    return {name: statistics.fmean(values) for name, values in low.items()}


class Trial:
    def __init__(self, prices, assignments, measured):
        self.prices, self.assignments, self.measured = prices, assignments, measured

    def of(self, predict):
        return agreement([predict(one) for one in self.assignments], self.measured)

    def line(self, name, predict):
        rank, bias, spread = self.of(predict)
        print(f"| {name} | {rank:.4f} | {bias:+.1%} | {spread:.3f} |", flush=True)


def singles(bench, prices, low, other):
    """Measured / price of each unit, and the power of the price that its jump grows with."""
    print(f"\n{bench.fixture.name}: measured / price of single units, {SLICE * SLICES} tokens of the text that prices are from\n")
    print(f"| unit | {LOW} | +- | {OTHER} | +- | power |\n|---|---|---|---|---|---|")
    powers, mean, error = [], means(low), errors(low)
    for unit in prices.units:
        name, a, b = unit.name, unit.options[LOW].cost, unit.options[OTHER].cost
        measured, noise = other[name]["served"], other[name]["served_error"]
        power = ""
        if mean[name] - a > 2 * error[name] and measured - b > 2 * noise:
            powers.append(math.log((measured - b) / (mean[name] - a)) / math.log(b / a))
            power = f"{powers[-1]:.2f}"
        print(f"| {name.removeprefix('model.layers.')} | {mean[name] / a:.2f} | {error[name] / a:.2f} | {measured / b:.2f} "
              f"| {noise / b:.2f} | {power} |")
    costs = [sum(unit.options[name].cost for unit in prices.units) for name in (LOW, OTHER)]
    middle = f"{statistics.median(powers):.2f}" if powers else ""
    print(f"| sums, median | {sum(mean.values()) / costs[0]:.2f} | | {sum(one['served'] for one in other.values()) / costs[1]:.2f} | | {middle} |",
          flush=True)


def errors(low):
    return {name: statistics.stdev(values) / len(values) ** 0.5 for name, values in low.items()}


def laws(bench, prices, trial, slices, other):
    print(f"\n{bench.fixture.name}: laws on {len(trial.measured)} assignments\n\n| law | Spearman | bias | spread |\n|---|---|---|---|")
    low = means(slices)
    trial.line("price alone", prices.cost_of)
    trial.line("jumps that the program measured", prices.predict)
    uniform = everywhere(prices, LOW)
    anchor = bench.kl(prices, uniform, bench.texts.seen(0, SLICE * SLICES))["served"]
    cost = prices.cost_of(uniform)
    trial.line(f"price x measured / price of {LOW} everywhere", lambda one: prices.cost_of(one) * anchor / cost)
    trial.line(f"price + sqrt(price) x jump of {LOW} everywhere",
               lambda one: prices.cost_of(one) + (anchor - cost) * (prices.cost_of(one) / cost) ** 0.5)
    for exponent in EXPONENTS:
        trial.line(f"exponent {exponent}", FlipLaw(prices, low, exponent=exponent).predict)
    for scale in SCALES:
        trial.line(f"exponent 2, jump as price^{scale}", FlipLaw(prices, low, scale=scale).predict)
    trial.line(f"exponent 2, singles in {OTHER}", FlipLaw(prices, other, OTHER).predict)
    for exponent in EXPONENTS[1:4]:
        law = FlipLaw(prices, low, exponent=exponent)
        law.anchor(uniform, anchor)
        trial.line(f"exponent {exponent}, jumps x {law.factor:.2f}, which fits {LOW} everywhere", law.predict)
    trial.line("exponent 2, jumps below 2 standard errors shared by kind", pooled(prices, low, errors(slices)).predict)


def pooled(prices, low, errors):
    """A unit whose jump is below two standard errors gets what its kind has per square root of price."""
    law = FlipLaw(prices, low)
    for kind in {unit.kind for unit in prices.units}:
        members = [unit.name for unit in prices.units if unit.kind == kind]
        mean = sum(law.jumps[name] for name in members) / sum(law.low_cost[name] ** 0.5 for name in members)
        for name in members:
            if law.jumps[name] < 2 * errors[name]:
                law.jumps[name] = mean * law.low_cost[name] ** 0.5
    return law


def tokens(prices, trial, low):
    print("\n| tokens of each single | runs | Spearman, lowest | bias, lowest and highest | spread, mean |\n|---|---|---|---|---|")
    for count in (1, 2, 4, 8, 16):
        found = [trial.of(FlipLaw(prices, {name: statistics.fmean(values[first:first + count]) for name, values in low.items()}).predict)
                 for first in range(0, SLICES, count)]
        print(f"| {count * SLICE} | {len(found)} | {min(one[0] for one in found):.4f} | {min(one[1] for one in found):+.1%} "
              f"{max(one[1] for one in found):+.1%} | {statistics.fmean(one[2] for one in found):.3f} |", flush=True)


def choices(bench, prices, law):
    """Does the law choose better than the price alone?"""
    budgets = [int(bits * prices.parameters / 8) for bits in BITS]
    by_price = [best(prices, CHOICE, budget) for budget in budgets]
    by_law = [law.best(CHOICE, budget) for budget in budgets]
    measured = [figures[0] for figures in bench.all_kl(prices, by_price + by_law)]
    print("\n| bits | chosen by price | +- | by the law | of it | units that differ |\n|---|---|---|---|---|---|")
    for bits, a, b, x, y in zip(BITS, by_price, by_law, measured, measured[len(BITS):]):
        print(f"| {bits} | {x['served']:.5f} | {x['served_error']:.5f} | {y['served']:.5f} | {y['served'] / x['served']:.2f} "
              f"| {sum(a[unit] != b[unit] for unit in a)} |", flush=True)
