"""Table 3: are the reported standard errors what repetitions show?

A run has no seed to set: the directions follow from its tokens. So each repetition prices another sample of windows of the
calibration text, disjoint from all others; windows are dealt in turn, so that parts differ by chance and not by topic.
"""

import statistics

MENU = ["NVFP4", "MXFP8", "BF16"]
REPETITIONS = 20
SAMPLES = 32
WITHIN = 0.15


def table(bench):
    parts = bench.texts.parts(REPETITIONS, SAMPLES)
    runs = [bench.prices(MENU, text=part) for part in parts]
    print(f"\n{bench.fixture.name}: {len(runs)} disjoint samples of {parts[0][1]} windows of {parts[0][2]}\n")
    print("| format | units | reported / observed, median | lowest and highest unit | relative error, median | |\n|---|---|---|---|---|---|")
    for name in MENU:
        ratios, relative = [], []
        for options in zip(*(run.units for run in runs)):
            costs = [unit.options[name].cost for unit in options]
            if max(costs) == 0:
                continue
            reported = statistics.fmean(unit.options[name].error ** 2 for unit in options) ** 0.5
            ratios.append(reported / statistics.stdev(costs))
            relative.append(statistics.stdev(costs) / statistics.fmean(costs))
        if not ratios:
            continue
        median = statistics.median(ratios)
        print(f"| {name} | {len(ratios)} | {median:.2f} | {min(ratios):.2f} {max(ratios):.2f} | {statistics.median(relative):.3f} "
              f"| {'reached' if abs(median - 1) <= WITHIN else f'missed: {WITHIN:.0%}'} |", flush=True)
