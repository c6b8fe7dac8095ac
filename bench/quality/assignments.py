"""Formats of all units: drawn, chosen by prices, or made by hand. An assignment is {unit: format}."""

import random


def everywhere(prices, format_name):
    return {unit.name: format_name for unit in prices.units}


def single(prices, unit, format_name):
    """One unit encoded, all others the source's."""
    return {**everywhere(prices, "KEEP"), unit.name: format_name}


def random_assignments(prices, menu, count, seed):
    """Each draws how often it takes each format, so that some are nearly uniform, and how much it keeps."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        weights = [draw.expovariate(1) ** 2 for _ in menu]
        kept = draw.choice([0, 0, 0.3, 0.6])
        found.append({unit.name: "BF16" if draw.random() < kept else draw.choices(menu, weights)[0] for unit in prices.units})
    return found


def allocated(prices, menu, budget):
    """The least cost within `budget` bytes along the hull of each unit: gain per byte, steepest first, what fits."""
    chosen, steps, spent = {}, [], 0
    for unit in prices.units:
        hull = lower_hull(unit, menu)
        chosen[unit.name] = hull[0]
        spent += unit.options[hull[0]].bytes
        for order, (before, after) in enumerate(zip(hull, hull[1:])):
            more = unit.options[after].bytes - unit.options[before].bytes
            steps.append(((unit.options[after].cost - unit.options[before].cost) / more, unit.name, order, before, after, more))
    for _, name, _, before, after, more in sorted(steps):
        if chosen[name] == before and spent + more <= budget:
            chosen[name] = after
            spent += more
    return chosen


def best(prices, menu, budget):
    """The very least cost within `budget` bytes: partial choices that another one beats in bytes and cost are dropped."""
    left = sum(min(unit.options[name].bytes for name in menu) for unit in prices.units)  # what units to come take at least
    partial = [(0, 0.0, ())]
    for unit in prices.units:
        left -= min(unit.options[name].bytes for name in menu)
        extended = sorted((spent + unit.options[name].bytes, cost + unit.options[name].cost, (*chosen, name))
                          for spent, cost, chosen in partial for name in menu)
        partial, least = [], float("inf")
        for entry in extended:
            if entry[0] + left <= budget and entry[1] < least:
                partial.append(entry)
                least = entry[1]
    return dict(zip((unit.name for unit in prices.units), partial[-1][2]))


def lower_hull(unit, menu):
    hull = []
    for name in sorted(menu, key=lambda name: (unit.options[name].bytes, unit.options[name].cost)):
        if hull and unit.options[name].cost >= unit.options[hull[-1]].cost:
            continue
        while len(hull) > 1 and _slope(unit, hull[-2], hull[-1]) >= _slope(unit, hull[-1], name):
            hull.pop()
        hull.append(name)
    return hull


def _slope(unit, before, after):
    a, b = unit.options[before], unit.options[after]
    return (b.cost - a.cost) / (b.bytes - a.bytes)


def filled(prices, low, promotions, budget):
    """`low` everywhere, then each (unit, format) of `promotions` that still fits, in their order."""
    chosen, spent = everywhere(prices, low), prices.bytes_of(everywhere(prices, low))
    for unit, format_name in promotions:
        more = unit.options[format_name].bytes - unit.options[chosen[unit.name]].bytes
        if more > 0 and spent + more <= budget:
            chosen[unit.name] = format_name
            spent += more
    return chosen


def outer_layers_first(prices):
    """First and last layer in BF16, then the next ones inwards, and what fits in 8 bits of those that do not fit."""
    last = max(unit.layer for unit in prices.units)
    order = sorted(prices.units, key=lambda unit: min(unit.layer, last - unit.layer))
    return [(unit, "BF16") for unit in order] + [(unit, "MXFP8") for unit in order]


def attention_first(prices):
    """Attention in 8 bits, then the MLP from the first layer on, then attention in BF16."""
    attention = [unit for unit in prices.units if unit.kind in ("q/k/v", "o")]
    others = [unit for unit in prices.units if unit not in attention]
    return [(unit, "MXFP8") for unit in attention + others] + [(unit, "BF16") for unit in attention + others]


def largest_error_first(prices, error_of):
    """What the low format spoils most, in 8 bits first, then in BF16."""
    order = sorted(prices.units, key=lambda unit: -error_of[unit.name])
    return [(unit, "MXFP8") for unit in order] + [(unit, "BF16") for unit in order]
