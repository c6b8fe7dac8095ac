"""What a kill in the middle costs: the time of a run that is killed half-way and gone on with, against an undisturbed one.

    resume_cost.py STRATA_FAULTY BENCH_MAKE_MODEL [--layers N] [--repeat N]

Prints medians; asserts nothing but the bytes.
"""

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time

from place import Place, check_goes_on, digests
from program import check, finish

SIZES = ["--hidden", 1024, "--heads", 16, "--kv-heads", 4, "--head-dim", 64, "--experts", 16, "--top-k", 4,
         "--moe-intermediate", 1024, "--intermediate", 2048, "--vocab", 8192]


def timed(action):
    """Seconds of wall clock and of all processors."""
    before, began = os.times(), time.monotonic()
    action()
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, busy


def killed_run(place, seconds):
    run = place.start(real=True)
    time.sleep(seconds)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    check_goes_on(place, "killed half-way", real=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("make_model")
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="strata_cost_") as root:
        model, ids = os.path.join(root, "models", "big"), os.path.join(root, "ids.safetensors")
        os.mkdir(os.path.dirname(model))
        subprocess.run([options.make_model, model, "--family", "qwen3_moe", "--layers", str(options.layers), *map(str, SIZES),
                        "--tokens", ids, "--rows", "8", "--columns", "256"], check=True, stdout=subprocess.DEVNULL)
        size = sum(os.path.getsize(os.path.join(model, name)) for name in os.listdir(model))
        place = Place(root, "place", model, "--scheme", "NVFP4", "--dataset", ids, "--nsamples", 8, "--seqlen", 256)
        whole, split, redone = [], [], []
        place.undisturbed()
        for _ in range(options.repeat):
            place.clear()
            whole.append(timed(lambda: place.run(real=True)))
            check(digests(place.out) == place.expected, "equal bytes")
            place.clear()
            split.append(timed(lambda: killed_run(place, whole[-1][0] / 2)))
            redone.append(len(place.events("layer")) - place.layers)
        for clock, name in enumerate(("wall clock", "processors")):
            one, two = (statistics.median(times[clock] for times in runs) for runs in (whole, split))
            print(f"{name}: undisturbed {one:.2f} s, killed half-way and gone on with {two:.2f} s ({100 * (two / one - 1):+.1f} %); "
                  f"all: {[round(times[clock], 2) for times in whole]}, {[round(times[clock], 2) for times in split]}")
        print(f"{size / 1e9:.2f} GB, {options.layers} layers, each {100 / options.layers:.1f} %; computed again: {redone}")
    finish()


main()
