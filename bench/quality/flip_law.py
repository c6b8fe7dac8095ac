"""KL of an assignment where routing flips: the price, and what singles of one low format cost beyond theirs.

    KL(A) = Q(A) + (sum_u R(u, f)^exponent)^(1 / exponent),    R(u, f) = (single(u, low) - Q(u, low)) (Q(u, f) / Q(u, low))^scale
"""

import dataclasses
import math

from assignments import best
from prices import Prices

LOW = "NVFP4"


class FlipLaw:
    """`singles`: measured KL of each unit alone in `low`. Jumps below 0 are noise and count as 0."""

    def __init__(self, prices, singles, low=LOW, exponent=2.0, scale=0.5):
        self.prices, self.exponent, self.scale = prices, exponent, scale
        self.low_cost = {unit.name: unit.options[low].cost for unit in prices.units}
        self.jumps = {name: max(0.0, singles[name] - cost) for name, cost in self.low_cost.items()}
        self.factor = 1.0

    def jump(self, unit, format_name):
        cost = 0.0 if format_name == "KEEP" else unit.options[format_name].cost
        if cost <= 0 or self.jumps[unit.name] <= 0:
            return 0.0
        return self.factor * self.jumps[unit.name] * (cost / self.low_cost[unit.name]) ** self.scale

    def flips(self, assignment):
        jumps = [self.jump(unit, assignment[unit.name]) for unit in self.prices.units]
        if math.isinf(self.exponent):
            return max(jumps)
        return sum(jump ** self.exponent for jump in jumps) ** (1 / self.exponent)

    def predict(self, assignment):
        return self.prices.cost_of(assignment) + self.flips(assignment)

    def anchor(self, assignment, measured):
        """Scales all jumps so that this assignment, usually `low` everywhere, has the KL that was measured."""
        flips = self.flips(assignment)
        if flips > 0:
            self.factor *= max(0.0, measured - self.prices.cost_of(assignment)) / flips

    def best(self, menu, budget):
        """The least KL by the law within `budget`. It is a concave function of Q(A) and of the sum of squared jumps, so
        its least value is where Q(A) + sum R(u, f)^2 / (2 s) is least for some s: prices of a plain budget. Exponent 2 only."""
        found = best(self.prices, menu, budget)
        start = self.flips(found)
        if start > 0:
            tried = [best(self._charged(start * 2 ** (i / 2)), menu, budget) for i in range(-8, 9)]
            found = min([found, *tried], key=self.predict)
        return found

    def _charged(self, s):
        units = []
        for unit in self.prices.units:
            options = {name: dataclasses.replace(option, cost=option.cost + self.jump(unit, name) ** 2 / (2 * s))
                       for name, option in unit.options.items()}
            units.append(dataclasses.replace(unit, options=options))
        return Prices(tuple(units), {})
