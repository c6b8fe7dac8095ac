"""Table 2: what a budget buys, beside rules made by hand that fill the same bytes from the same renders."""

import os
import tempfile

from assignments import attention_first, everywhere, filled, largest_error_first, outer_layers_first
from floor import inputs_floor

MENU = ["NVFP4", "MXFP8", "BF16"]
BITS = [4.75, 5.25, 6.0]
# ../shared/spec/peers_measured.md, section 1: PrismaQuant at 4.75 bits, weights only and as served.
PRISMAQUANT = {"tinystories-656k": (0.0767, 0.1545), "qwen3-dense": (0.00312, 0.00903), "qwen3-moe": (0.0327, 0.0629),
               "demo-moe": (0.0041, 0.0072)}
OF_PEER, OF_WEIGHTS = 0.7, 1.2  # the most: of the peer's KL, and of the weights' in what serving adds to the floor
CLASSICAL = ("--price", "fisher-trace")


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
    """{rule: assignment} at `bits`; the price's choice is first, as the program itself made it."""
    budget = int(bits * prices.parameters / 8)
    found = {"price": bench.prices(MENU, bits).chosen}
    if bench.program.has_option("quantize", CLASSICAL[0]):
        found["Fisher trace"] = bench.prices(MENU, bits, options=CLASSICAL).chosen
    for name, promotions in {"first and last layers BF16": outer_layers_first(prices), "attention FP8": attention_first(prices),
                             "largest weight error first": largest_error_first(prices, weight_errors(bench, prices))}.items():
        found[name] = filled(prices, "NVFP4", promotions, budget)
    return found


def table(bench):
    prices = bench.prices(MENU)
    print(f"\n{bench.fixture.name}\n\n| bits asked | choice | bits used | served | +- | weights only | |\n|---|---|---|---|---|---|---|")
    uniform = everywhere(prices, "NVFP4")
    row(prices, "", "uniform NVFP4", uniform, bench.kl(prices, uniform))
    for bits in BITS:
        found = choices(bench, prices, bits)
        measured = dict(zip(found, (figures[0] for figures in bench.all_kl(prices, list(found.values())))))
        for name, assignment in found.items():
            row(prices, bits, name, assignment, measured[name], verdict(name, found, measured))
        if bits == BITS[0]:
            beside_peer(bench, prices, found["price"], measured["price"])


def row(prices, bits, name, assignment, figures, remark=""):
    print(f"| {bits} | {name} | {prices.bits_of(assignment):.3f} | {figures['served']:.5f} | {figures['served_error']:.5f} "
          f"| {figures['weights']:.5f} | {remark} |", flush=True)


def verdict(name, found, measured):
    if name == "price":
        return ""
    if found[name] == found["price"]:
        return "the same choice"
    ratio = measured[name]["served"] / measured["price"]["served"]
    return f"{ratio:.2f} x{'' if ratio > 1 else ', missed'}"


def beside_peer(bench, prices, chosen, figures):
    limit = OF_PEER * PRISMAQUANT[bench.fixture.name][0]
    print(f"| | PrismaQuant | {BITS[0]} | {PRISMAQUANT[bench.fixture.name][1]} | | {PRISMAQUANT[bench.fixture.name][0]} "
          f"| weights only {figures['weights'] / limit * OF_PEER:.2f} x: {'reached' if figures['weights'] <= limit else 'missed'}, {OF_PEER} |")
    floor = inputs_floor(bench, prices, chosen)
    if isinstance(floor, str):
        print(f"| | inputs only | | | | | skipped: {floor} |")
        return
    limit = floor + OF_WEIGHTS * figures["weights"]
    print(f"| | inputs only (F) | | {floor:.5f} | | | served within F + {OF_WEIGHTS} weights = {limit:.5f}: "
          f"{'reached' if figures['served'] <= limit else 'missed'} |")
