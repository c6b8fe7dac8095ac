"""Table 1: predicted against measured KL, of whole assignments and of single units."""

import math

from assignments import allocated, random_assignments, single
from ranks import agreement

MENU = ["NVFP4", "MXFP4", "MXFP8", "FP8_DYNAMIC", "NVFP4A16", "W8A16", "BF16"]
SINGLES = ["NVFP4", "FP8_DYNAMIC"]  # formats of single units: one of 4 and one of 8 bits
SERVED = ["NVFP4", "MXFP4", "MXFP8", "FP8_DYNAMIC", "BF16"]  # inputs are quantized too: 8 bits are no longer next to nothing
LARGEST = 0.1
RANDOM, ALLOCATED = 24, 12  # the latter from each of the two menus
TARGETS = {False: (0.995, 0.10), True: (0.99, 0.15)}  # of a mixture or not: Spearman, bias


def drawn(fixture, prices):
    """{assignment: how it was made}, each once: at random, and allocated from 4.3 bits a parameter on."""
    made = [("random", one) for one in random_assignments(prices, MENU[:-1], RANDOM, f"{fixture.name}-random")]
    for menu, first, step in ((MENU, 4.3, 0.25), (SERVED, 4.5, 0.6)):
        budgets = (int((first + step * i) * prices.parameters / 8) for i in range(ALLOCATED))
        made += [("allocated", allocated(prices, menu, budget)) for budget in budgets]
    return {tuple(sorted(one.items())): how for how, one in reversed(made)}


def table(bench):
    prices = bench.prices(MENU)
    made = drawn(bench.fixture, prices)
    assignments, how = [dict(one) for one in made], list(made.values())
    measured = [figures[0]["served"] for figures in bench.all_kl(prices, assignments)]
    small = [i for i, kl in enumerate(measured) if kl < LARGEST]
    laws = {"price": prices.cost_of}
    if bench.fixture.mixture:
        # In as many windows again lanes cost a smaller share, so that fewer units share one.
        laws["price and jumps, twice the windows"] = bench.prices(MENU, text=bench.texts.calibration(2)).predict
        laws["price and jumps"] = prices.predict
    print(f"\n{bench.fixture.name}: {len(small)} of {len(measured)} assignments with KL < {LARGEST}, "
          f"{min(measured):.5f} to {max(measured[i] for i in small):.5f}\n")
    print("| predicted | of | Spearman | bias | spread | |\n|---|---|---|---|---|---|")
    for law, predict in laws.items():
        for name in ("all", "random", "allocated"):
            members = [i for i in small if name in ("all", how[i])]
            of_group(f"{law}, {name}", [predict(assignments[i]) for i in members], [measured[i] for i in members],
                     TARGETS[bench.fixture.mixture] if law == list(laws)[-1] and name == "all" else None)
    kinds(bench, prices, laws)


def of_group(name, predicted, measured, target=None):
    rank, bias, spread = agreement(predicted, measured)
    verdict = ""
    if target:
        verdict = "reached" if rank >= target[0] and abs(bias) <= target[1] else f"missed: {target[0]}, {target[1]:.0%}"
    shown = "" if math.isnan(rank) else f"{rank:.4f}"  # one unit has no rank
    print(f"| {name} | {len(measured)} | {shown} | {bias:+.1%} | {spread:.3f} | {verdict} |", flush=True)


def kinds(bench, prices, laws):
    """Singles on evaluation text, by kind of unit."""
    ones = [(unit, name, single(prices, unit, name)) for name in SINGLES for unit in prices.units]
    text = bench.texts.evaluation(bench.fixture.few_tokens)
    measured = [figures[0]["served"] for figures in bench.all_kl(prices, [one[2] for one in ones], [text])]
    for law, predict in laws.items():
        for name in SINGLES:
            for kind in dict.fromkeys(unit.kind for unit in prices.units):
                members = [i for i, one in enumerate(ones) if one[0].kind == kind and one[1] == name]
                of_group(f"{law}, {name} alone in {kind}", [predict(ones[i][2]) for i in members], [measured[i] for i in members])
