"""kill -9 at random moments and at every kind of call that touches files; then the same command until it ends well.

    kill_test.py STRATA_FAULTY [--short | --nightly] [--seed N] [--only TEXT]

Every output is that of an undisturbed run, byte for byte; nothing else is left; and no more layers are computed again
than were under way.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time

from place import IN_FLIGHT, KILLED, MODEL, Place, calibrated, digests, kinds_of, nth_of, write_dense_model
from program import check, finish


class Tally:
    def __init__(self):
        self.kills, self.late, self.most_redone = 0, 0, 0
        self.by_kind = {}


def finish_run(place, what, kills, tally):
    """The same command again until it ends with 0; then everything is as it should be."""
    stopped_after_the_end = place.whole()
    result = place.run()
    if stopped_after_the_end and result.code == 2:
        check("exists already" in result.err, f"{place.name}: {what}: says that the output is there", result)
    else:
        check(result.code == 0, f"{place.name}: {what}: the same command ends with 0", result)
    place.check_whole(what, result)
    redone = len(place.events("layer")) - place.layers
    tally.most_redone = max(tally.most_redone, redone / kills)
    check(redone <= IN_FLIGHT * kills, f"{place.name}: {what}: {redone} layers were computed again after {kills} kills", result)


def kill_at_random(place, generator, tally):
    place.clear()
    kills = 0
    again = 1 if generator.random() < 0.7 else 2
    moments = []
    for _ in range(again):
        real = tally.kills % 5 == 0  # killed while it loads, too
        delay = generator.uniform(0, place.real_seconds if real else place.seconds)
        moments.append(f"{delay:.3f} s")
        run = place.start(real=real)
        time.sleep(delay)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        kills += run.returncode == KILLED
        tally.late += run.returncode != KILLED
    if kills:
        tally.kills += kills
        finish_run(place, "killed after " + " and ".join(moments), kills, tally)


def kill_at_call(place, calls, kind, index, action, tally):
    """False when the run came by there another number of times, and was not hit."""
    place.clear()
    fault = f"{nth_of(calls, index)}:{action}"
    run = place.run(faults=[fault])
    if run.code != KILLED:
        check(run.code == 0, f"{place.name}: {fault}: a run that was not hit ends well", run)
        return False
    tally.kills += 1
    tally.by_kind[kind] = tally.by_kind.get(kind, 0) + 1
    finish_run(place, f"{kind}, {fault}", 1, tally)
    return True


def kill_everywhere(places, kills_per_kind, options, generator, tally):
    calls = {place: place.undisturbed() for place in places}
    kinds = {place: kinds_of(calls[place]) for place in places}
    wanted = sorted({kind for place in places for kind in kinds[place]})
    check(any("scratch" in kind for kind in wanted), "a run keeps hidden states on the disk")
    wanted = [kind for kind in wanted if options.only in kind]
    if options.short:
        wanted = generator.sample(wanted, 12)
    for kind in wanted:
        able = [place for place in places if kind in kinds[place]]
        actions = ["kill-before", "kill-after"]
        for turn in range(kills_per_kind * 4):
            if tally.by_kind.get(kind, 0) >= kills_per_kind:
                break
            place = able[turn % len(able)]
            index = generator.choice(kinds[place][kind])
            kill_at_call(place, calls[place], kind, index, actions[turn % 2], tally)
        hits = tally.by_kind.get(kind, 0)
        check(hits >= kills_per_kind, f"{kind}: was hit {hits} of {kills_per_kind} times")


def old_output(place, scheme, away):
    """A checkpoint of another format at the place of the output, and a copy of it."""
    place.clear()
    arguments = place.command
    place.command = ["quantize", place.model, "-o", place.out, "--scheme", scheme]
    check(place.run().code == 0, f"{place.name}: the old output")
    place.command = arguments
    shutil.rmtree(place.work)
    shutil.copytree(place.out, away)
    return digests(place.out)


def kill_while_replacing(place, tally, step):
    """Each call from just before the exchange with an old output to the end."""
    place.undisturbed()
    away = place.root + ".old"
    old = old_output(place, "KEEP", away)
    os.remove(place.log)
    check(place.run("--force", log=True).code == 0, f"{place.name}: --force replaces")
    calls = place.logged()
    exchange = next(i for i, call in enumerate(calls) if call.operation == "exchange")
    place.command.append("--force")
    for index in range(exchange - 3, len(calls), step):
        for action in ("kill-before", "kill-after"):
            place.clear()
            shutil.copytree(away, place.out)
            fault = f"{nth_of(calls, index)}:{action}"
            what = f"replacing, {calls[index].kind}, {action}"
            run = place.run(faults=[fault])
            if run.code != KILLED:  # such as the last event, which the output does not wait for
                check(run.code == 0, f"{place.name}: {what}: not hit", run)
                continue
            tally.kills += 1
            found = digests(place.out)
            check(found in (old, place.expected), f"{place.name}: {what}: OUT is the old or the new one", run)
            result = place.run()
            check(result.code == 0, f"{place.name}: {what}: the same command ends with 0", result)
            place.check_whole(what, result)
    place.command.remove("--force")


def smallest_memory(root, model):
    """A limit under which hidden states do not stay in memory."""
    place = Place(root, "measured", model, *calibrated("NVFP4", 64, 256), "--max-memory", "1MB")
    text = place.run().err
    check("smallest limit that works is" in text, "the smallest memory", text)
    return int(text.split()[-1].removesuffix("MiB")) + 2 << 20  # what a process takes before it begins differs a little


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--nightly", action="store_true")
    parser.add_argument("--only", default="", help="kinds of calls that hold this text, and nothing else")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    generator = random.Random(seed)
    print(f"seed {seed}: {' '.join(sys.argv)} --seed {seed}", flush=True)
    began = time.monotonic()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="strata_kill_") as root:
        moe, dense = os.path.join(root, "models", "moe"), os.path.join(root, "models", "dense")
        shutil.copytree(MODEL, moe)
        write_dense_model(dense)
        places = [Place(root, "moe-rtn", moe, "--method", "rtn", *calibrated("NVFP4")),
                  Place(root, "dense-search", dense, *calibrated("NVFP4"))]
        places.append(Place(root, "small-memory", dense, *calibrated("NVFP4", 64, 256), "--max-memory",
                            smallest_memory(root, dense), real=False))
        kill_everywhere(places, 6 if options.nightly else 2, options, generator, tally)
        if options.only:
            finish()
        at_calls = tally.kills
        places += [Place(root, "moe-search", moe, *calibrated("NVFP4", 32, 128)),
                   Place(root, "dense-rtn", dense, "--method", "rtn", *calibrated("NVFP4", 32, 128)),
                   Place(root, "dense-no-data", dense, "--scheme", "W4A16", "--shard-size", "400KB")]
        for place in places[3:]:
            place.undisturbed()
        while tally.kills < at_calls + (200 if options.nightly else 4 if options.short else 25):
            kill_at_random(generator.choice(places), generator, tally)
        at_random = tally.kills - at_calls
        kill_while_replacing(Place(root, "replaced", dense, *calibrated("NVFP4")), tally, 4 if options.short else 1)
    print(f"{tally.kills} kills in {time.monotonic() - began:.0f} s: {at_calls} at {len(tally.by_kind)} kinds of calls, at least "
          f"{min(tally.by_kind.values())} each; {at_random} at random moments ({tally.late} more came too late); "
          f"{tally.kills - at_calls - at_random} while replacing. At most {tally.most_redone:.2g} layers were computed again "
          f"after a kill.")
    for kind in sorted(tally.by_kind):
        print(f"  {tally.by_kind[kind]:3} {kind}")
    finish()


main()
