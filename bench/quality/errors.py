"""Table 3: are the reported standard errors what repetitions show, and do they shrink as theory says?

A run has no seed to set: the directions follow from its tokens. So each repetition prices another sample of windows of the
calibration text, disjoint from all others; windows are dealt in turn, so that parts differ by chance and not by topic.
"""

import statistics

from measure import PROBES

MENU = ["NVFP4", "MXFP8", "BF16"]
REPETITIONS = 20
SAMPLES = 32
WITHIN, UNIT_WITHIN, SHARE = 0.15, 0.5, 0.9
ALONE = ("--flip-tokens", "0")  # prices only


def table(bench):
    parts = bench.texts.parts(REPETITIONS, SAMPLES)
    count, window = parts[0][1:]
    print(f"\n{bench.fixture.name}: {len(parts)} disjoint samples of {count} windows of {window}\n")
    print("| sample | format | units | reported / observed, median | units within 50 % | lowest and highest | relative error, median | |")
    print("|---|---|---|---|---|---|---|---|")
    first = repetitions(bench, f"{count} windows, {PROBES} probes", parts, PROBES)
    more = {f"{count} windows, {2 * PROBES} probes": (parts, 2 * PROBES)}
    doubled = bench.texts.parts(REPETITIONS, 2 * count)
    if doubled[0][1] == 2 * count:
        more[f"{2 * count} windows, {PROBES} probes"] = (doubled, PROBES)
    found = {name: repetitions(bench, name, *how) for name, how in more.items()}
    print("\n| twice | format | reported error, of before | observed error, of before |\n|---|---|---|---|")
    for name, formats in found.items():
        for format_name, units in formats.items():
            ratios = [statistics.median(one[i] / before[i] for one, before in zip(units, first[format_name])) for i in (0, 1)]
            print(f"| {name} | {format_name} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


def repetitions(bench, name, parts, probes):
    """{format: (reported error, observed one) of each unit}, and a row each."""
    runs = [bench.prices(MENU, text=part, probes=probes, options=ALONE) for part in parts]
    found = {}
    for format_name in MENU:
        units, relative = [], []
        for options in zip(*(run.units for run in runs)):
            costs = [unit.options[format_name].cost for unit in options]
            if max(costs) == 0:
                continue
            reported = statistics.fmean(unit.options[format_name].error ** 2 for unit in options) ** 0.5
            units.append((reported, statistics.stdev(costs)))
            relative.append(statistics.stdev(costs) / statistics.fmean(costs))
        if not units:
            continue
        found[format_name] = units
        ratios = [reported / observed for reported, observed in units]
        median = statistics.median(ratios)
        within = sum(abs(ratio - 1) <= UNIT_WITHIN for ratio in ratios) / len(ratios)
        reached = abs(median - 1) <= WITHIN and within >= SHARE
        print(f"| {name} | {format_name} | {len(units)} | {median:.2f} | {within:.0%} | {min(ratios):.2f} {max(ratios):.2f} "
              f"| {statistics.median(relative):.3f} | {'reached' if reached else '**missed**'} |", flush=True)
    return found
