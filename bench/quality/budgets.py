"""Table 2: what a budget buys, beside rules made by hand that fill the same bytes from the same renders."""

import os
import statistics
import tempfile

from assignments import attention_first, everywhere, filled, largest_error_first, outer_layers_first
from floor import inputs_floor

MENU = ["NVFP4", "MXFP8", "BF16"]
BITS = [4.75, 5.25, 6.0]
# ../shared/spec/peers_measured.md, section 1: PrismaQuant at 4.75 bits, weights only and as served.
PRISMAQUANT = {"tinystories-656k": (0.0767, 0.1545), "qwen3-dense": (0.00312, 0.00903), "qwen3-moe": (0.0327, 0.0629),
               "demo-moe": (0.0041, 0.0072)}
OF_PEER, OF_WEIGHTS = 0.7, 1.2  # the most: of the peer's KL, and of the weights' in what serving adds to the floor
RULES = ("first and last layers BF16", "attention FP8", "largest weight error first")
SLICES, T_95 = 8, 2.365  # of the evaluation text, on each of which two choices are compared; of as many less one


def weight_errors(bench, prices):
    """Squared error of the weights of each unit in NVFP4, relative to their squares, from `strata verify --deep`."""

    def make():
        with tempfile.TemporaryDirectory() as place:
            out = os.path.join(place, "out")
            bench.render({linear: {"format": "NVFP4"} for unit in prices.units for linear in unit.members}, out)
            return bench.program.json("verify", out, "--source", bench.fixture.folder, "--deep")["quality"]

    quality = bench.program.remembered(["weight errors", bench.fixture.name], make)
    ratio = {row["linear"]: 10 ** (-row["sqnr_db"] / 10) for row in quality}
    return {unit.name: sum(ratio[linear] for linear in unit.members) / len(unit.members) for unit in prices.units}


def choices(bench, prices, bits):
    """{rule: assignment} at `bits`; what the program chooses is first."""
    budget = int(bits * prices.parameters / 8)
    found = {"ours": bench.chosen(prices, bits), "Fisher trace": bench.chosen(prices, bits, ("--price", "fisher-trace"))}
    promotions = outer_layers_first(prices), attention_first(prices), largest_error_first(prices, weight_errors(bench, prices))
    return {**found, **{name: filled(prices, "NVFP4", order, budget) for name, order in zip(RULES, promotions)}}


def table(bench):
    fixture = bench.fixture
    texts = [bench.texts.evaluation_slice(i, SLICES) for i in range(SLICES)]
    prices = bench.prices(MENU, BITS[0], heldout=bench.texts.heldout())
    print(f"\n{fixture.name}, {fixture.samples} x {fixture.window} tokens of calibration, {fixture.tokens} of evaluation\n")
    print("| bits | choice | bits used | predicted | served | weights only | served, of ours | served - ours, 95 % |\n|---|---|---|---|---|---|---|---|")
    uniform = everywhere(prices, "NVFP4")
    row(prices, "", "NVFP4 everywhere", uniform, bench.all_kl(prices, [uniform], texts)[0])
    for bits in BITS:
        found = choices(bench, prices, bits)
        measured = dict(zip(found, bench.all_kl(prices, list(found.values()), texts)))
        for name, assignment in found.items():
            row(prices, bits, name, assignment, measured[name], beside(name, found, measured))
        if bits == BITS[0]:
            beside_peer(bench, prices, found["ours"], measured["ours"])


def mean(figures, key):
    return statistics.fmean(one[key] for one in figures)


def row(prices, bits, name, assignment, figures, remark="| "):
    print(f"| {bits} | {name} | {prices.bits_of(assignment):.3f} | {prices.predict(assignment):.5f} | {mean(figures, 'served'):.5f} "
          f"| {mean(figures, 'weights'):.5f} | {remark} |", flush=True)


def beside(name, found, measured):
    """Ratio, and the interval of the difference: slices of text are independent, choices on one slice are not."""
    if name == "ours":
        return "| "
    if found[name] == found["ours"]:
        return "the same choice | "
    differences = [a["served"] - b["served"] for a, b in zip(measured[name], measured["ours"])]
    middle, half = statistics.fmean(differences), T_95 * statistics.stdev(differences) / len(differences) ** 0.5
    verdict = ", **missed**" if middle + half < 0 else ", no difference seen" if middle - half < 0 else ""
    return f"{mean(measured[name], 'served') / mean(measured['ours'], 'served'):.2f} | {middle:+.5f} +- {half:.5f}{verdict}"


def beside_peer(bench, prices, chosen, figures):
    served, weights = mean(figures, "served"), mean(figures, "weights")
    peer = PRISMAQUANT[bench.fixture.name]
    print(f"| | PrismaQuant | {BITS[0]} | | {peer[1]} | {peer[0]} | weights only {weights / peer[0]:.2f} of it, {OF_PEER}: "
          f"{'reached' if weights <= OF_PEER * peer[0] else '**missed**'} | |")
    floors = {"measured by the run": next(one["kl_mean"] for one in prices.measured if one["name"] == "inputs only"),
              "by transformers": inputs_floor(bench, prices, chosen)}
    for how, floor in floors.items():
        if isinstance(floor, str):
            print(f"| | inputs only, {how} | | | | | skipped: {floor} | |")
            continue
        limit = floor + OF_WEIGHTS * weights
        print(f"| | inputs only (F), {how} | | | {floor:.5f} | | served within F + {OF_WEIGHTS} weights = {limit:.5f}: "
              f"{'reached' if served <= limit else '**missed**'} | |")
