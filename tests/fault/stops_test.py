"""Runs that stop because they are told to, and those that find another one at work: SIGINT, SIGTERM, --deadline, --resume.

    stops_test.py STRATA_FAULTY
"""

import os
import shutil
import signal
import tempfile
import time

from place import MODEL, Place, calibrated, check_goes_on, stop_at, write_dense_model
from program import check, check_error, finish


def second_writer(place):
    place.clear()
    first = place.start()
    for line in first.stderr:
        if b"[2/" in line:
            break
    first.send_signal(signal.SIGSTOP)
    check_error(place.run(), 8, "out.work")
    check_error(place.run("-w", place.at("other.work")), 8, "out.partial")
    first.send_signal(signal.SIGCONT)
    first.communicate(timeout=120)
    check(first.returncode == 0 and place.whole(), "the first writer ends well")


def signals(place):
    for number, name, real in ((signal.SIGINT, "interrupted", False), (signal.SIGTERM, "SIGTERM", True)):
        place.clear()
        code, text = stop_at(place, 2, number, real=real)
        check(code == 75, f"{name}: exit 75, not {code}", text)
        last = text.rstrip("\n").split("\n")[-1]
        check(last.startswith("strata: ") and name in last and f"-o {place.out}" in last, f"{name}: the command that goes on", text)
        command = last.split("go on with: ")[-1]
        check(command.startswith("strata quantize "), f"{name}: the command", command)
        check_goes_on(place, name, real=real)

    place.clear()
    run = place.start()
    for line in run.stderr:
        if b"[2/" in line:
            break
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGTERM)
    began = time.monotonic()
    run.communicate(timeout=120)
    check(run.returncode in (75, 128 + signal.SIGINT, 128 + signal.SIGTERM), f"a second signal: exit {run.returncode}")
    check(time.monotonic() - began < 5, "a second signal stops at once")
    check_goes_on(place, "a second signal")


def deadline_and_resume(root, model):
    place = Place(root, "long", model, *calibrated("NVFP4", 60, 512))
    place.undisturbed()
    place.clear()
    stops = 0
    while stops < 20:
        began = time.monotonic()
        result = place.run("--deadline", "1s")
        if result.code == 0:
            break
        stops += 1
        check(result.code == 75 and "--deadline" in result.err.split("\n")[-2], "--deadline: exit 75", result)
        check(time.monotonic() - began < max(5, place.seconds), "--deadline: is kept")
        if len(place.events("layer")) == 0:
            break
    print(f"--deadline 1s: a run of {place.seconds:.1f} s was stopped {stops} times")
    check(place.seconds < 2 or stops > 0, "--deadline: a run of several seconds is stopped")
    check_goes_on(place, "--deadline") if not place.whole() else place.check_whole("--deadline")

    place.clear()
    stop_at(place, 3)
    result = check_goes_on(place, "--resume never", "--resume", "never")
    check("[1/" in result.err and "taken over" not in result.err, "--resume never starts over", result)
    place.clear()
    check_error(place.run("--resume", "require"), 7, "nothing to go on from")
    stop_at(place, 3)
    result = check_goes_on(place, "--resume require", "--resume", "require")
    check("taken over" in result.err, "--resume require goes on", result)


with tempfile.TemporaryDirectory(prefix="strata_stops_") as temporary:
    dense, moe = (os.path.join(temporary, "models", name) for name in ("dense", "moe"))
    write_dense_model(dense)
    shutil.copytree(MODEL, moe)
    short_run = Place(temporary, "place", dense, *calibrated("NVFP4", 32, 128))
    short_run.undisturbed()
    second_writer(short_run)
    signals(short_run)
    deadline_and_resume(temporary, moe)
finish()
