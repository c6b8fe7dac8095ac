"""A machine that fails and files that others change, while a calibrated run is under way or between two: the exit code and
the message are right, nothing is lost, and the output is in the end that of an undisturbed run.

    faults_test.py STRATA_FAULTY [--short] [--only WORD]
"""

import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from place import KILLED, Place, calibrated, check_goes_on, digests, kinds_of, nth_of, stop_at, write_dense_model
from program import check, check_error, finish


def full_disk(place, calls, short):
    """ENOSPC at the first, a middle and the last call of each kind that takes room."""
    for kind, indices in sorted(kinds_of(calls).items()):
        file = kind.split("/")[-1]
        makes_file = kind.startswith("open out") and "/" in kind and ("." in file or file == "journal")
        takes_room = makes_file or calls[indices[0]].operation in ("pwrite", "fallocate", "mkdir")
        if not takes_room:
            continue
        chosen = {indices[0], indices[len(indices) // 2], indices[-1]} if not short else {indices[len(indices) // 2]}
        for index in sorted(chosen):
            place.clear()
            fault = nth_of(calls, index) + ":enospc"
            result = place.run(faults=[fault])
            what = f"full disk, {kind}, {fault}"
            if "disk.probe" in kind:  # only measures
                check(result.code == 0, f"{what}: goes on without it", result)
                place.check_whole(what, result)
                continue
            named = calls[index].path
            check(result.code == 9, f"{what}: exit 9", result)
            last = result.err.rstrip("\n").split("\n")[-1]
            check(last.startswith("strata: ") and named in last and "No space left" in last, f"{what}: names the file", result)
            check(not os.path.exists(place.out) or place.whole(), f"{what}: nothing half-done looks whole", result)
            if place.whole():
                result = place.run()
                check(result.code in (0, 2), f"{what}: the output is there", result)
                continue
            check_goes_on(place, what)


def full_disk_for_good(place, layers):
    """From a moment on nothing can be written any more; what was done until then counts."""
    place.clear()
    result = place.run(faults=["pwrite:out:40+:enospc", "fallocate:out:40+:enospc"])
    check_error(result, 9, "No space left")
    result = check_goes_on(place, "full disk for good")
    check(len(place.events("layer")) <= layers + 3, "full disk for good: done layers count", result)


def small_disk(place, root, finished):
    mount = os.path.join(root, "mount")
    os.mkdir(mount)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", mount],
                                           stderr=subprocess.DEVNULL).returncode != 0:
        print("not tested: a real full disk needs the right to mount a tmpfs")
        return
    filler = os.path.join(mount, "filler")

    def leave_free(wanted):
        with open(filler, "wb") as file:
            file.flush()
            disk = os.statvfs(mount)
            file.write(b"x" * (disk.f_bavail * disk.f_frsize - wanted))

    try:
        away = Place(mount, "small", place.model, *place.command[6:])
        size = sum(os.path.getsize(os.path.join(finished, name)) for name in place.expected)
        leave_free(size // 2)  # the plan sees it
        check_error(away.run(), 4, "of disk but", "are free")
        leave_free(size + (256 << 10))  # the output fits, but not all that the run keeps beside it
        result = away.run()
        check(result.code in (4, 9), "a small tmpfs: exit 9, or 4 where the plan sees it", result)
        last = result.err.rstrip("\n").split("\n")[-1]
        check(last.startswith("strata: ") and mount in last, "a small tmpfs: one clear line with the file", result)
        check(not os.path.exists(away.out), "a small tmpfs: nothing looks whole", result)
        os.remove(filler)
        result = away.run()
        check(result.code == 0 and digests(away.out) == place.expected, "a small tmpfs: with room it ends well", result)
    finally:
        subprocess.run(["umount", mount], check=True)


def short_transfers(place):
    for faults in (["pwrite::1+:short"], ["pread::1+:short"], ["submit::1+:short", "pread::1+:short", "pwrite::1+:short"]):
        for method in ("pread", "direct", "mmap"):
            place.clear()
            result = place.run("--io", method, faults=faults)
            check(result.code == 0, f"{faults}, --io {method}: a short read or write is gone on with", result)
            place.check_whole(f"{faults}, --io {method}", result)


def broken_source(place):
    """EIO while a shard is read."""
    for method, operation in (("pread", "pread"), ("direct", "submit"), ("mmap", "mmap")):
        for count in (12, 6, 3, 2):  # a later read, if there are so many
            place.clear()
            found = place.run("--io", method, faults=[f"{operation}:safetensors:{count}:eio"])
            if found.code != 0:
                break
        if found.code == 0:
            print(f"not tested: --io {method} makes no {operation} here")
            continue
        what = f"EIO of {operation}"
        check(found.code == 9, f"{what}: exit 9", found)
        last = found.err.rstrip("\n").split("\n")[-1]
        check(".safetensors" in last and place.model in last, f"{what}: names the file", found)
        check_goes_on(place, what)


def changed_source(root, models):
    """The source is cut short, or becomes another model, between a run and the next."""
    model = os.path.join(root, "models", "changing")
    shutil.copytree(models[0], model)
    place = Place(root, "changing", model, *calibrated("NVFP4"))
    place.undisturbed()
    shard = os.path.join(model, "model-00002-of-00002.safetensors")
    times = os.stat(shard)

    place.clear()
    stop_at(place, 3)
    os.truncate(shard, os.path.getsize(shard) - 1000)
    check_error(place.run(), 5, "model-00002-of-00002.safetensors")
    shutil.copy(os.path.join(models[0], os.path.basename(shard)), shard)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    check_goes_on(place, "source cut short and mended")

    # Another finetune: equal names, shapes, sizes and times.
    place.clear()
    stop_at(place, 3)
    for name in os.listdir(models[1]):
        shutil.copy(os.path.join(models[1], name), model)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    check_error(place.run("--resume", "require"), 7, "model-00002-of-00002.safetensors")
    result = place.run("--explain")
    check(result.code == 0 and "source" in result.err, "another source: says what changed", result)
    again = digests(place.out)
    place.clear()
    check(place.run().code == 0 and digests(place.out) == again, "another source: computed again, as from the start")
    check(again != place.expected, "another source: another output")


def changed_and_back(root, models):
    """Half of the layers come from another model for a while: what was overwritten then does not count later."""
    model = os.path.join(root, "models", "wavering")
    shutil.copytree(models[0], model)
    place = Place(root, "wavering", model, "--scheme", "W4A16", "--shard-size", "400KB")
    place.undisturbed()
    shard = os.path.join(model, "model-00002-of-00002.safetensors")
    times = os.stat(shard)
    place.clear()
    # Those before it are of the run id and the index: every layer is done.
    killed = place.run(faults=["rename:out.partial:3:kill-before"])
    check(killed.code == KILLED, "killed before the output", killed)
    shutil.copy(os.path.join(models[1], os.path.basename(shard)), shard)
    killed = place.run("--explain", faults=["pwrite:out.work/journal:2:kill-before"])  # a layer is written, not recorded
    check(killed.code == KILLED and "taken over" in killed.err, "layers of the other file are taken over", killed)
    shutil.copy(os.path.join(models[0], os.path.basename(shard)), shard)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    check_goes_on(place, "source changed and back")


def killed_twice(place, calls):
    """Killed while the output was about to appear, and again as soon as the next run has begun: no layer is lost."""
    place.clear()
    last = kinds_of(calls)["rename out.partial to out"][-1]
    killed = place.run(faults=[nth_of(calls, last) + ":kill-before"])
    check(killed.code == KILLED, "killed before the output appears", killed)
    again = place.run(faults=["pwrite:out.work/journal:1:kill-after"])
    check(again.code == KILLED, "killed when the next run has begun", again)
    result = check_goes_on(place, "killed twice", "--explain")
    check(result.err.count(": taken over\n") == place.layers, "killed twice: every layer is taken over", result)


def changed_work(place):
    """What a run keeps is deleted or damaged between two runs, or while it runs."""
    def flip(path):
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 16]))

    damages = {"deleted": (os.remove, "is missing"), "cut": (lambda path: os.truncate(path, os.path.getsize(path) - 7), ""),
               "emptied": (lambda path: os.truncate(path, 0), ""), "flipped": (flip, "")}
    for name, (damage, reason) in damages.items():
        place.clear()
        stop_at(place, 4)
        kept = glob.glob(os.path.join(place.work, "act", "*.sba"))
        check(kept, f"hidden states {name}: some are kept", os.listdir(place.work))
        for path in kept:
            damage(path)
        result = check_goes_on(place, f"hidden states {name}", "--explain")
        check(".sba" in result.err and reason in result.err, f"hidden states {name}: --explain says so", result)

    for name, damage in {"flipped": flip, "emptied": lambda path: os.truncate(path, 0), "deleted": os.remove,
                         "cut": lambda path: os.truncate(path, os.path.getsize(path) - 3)}.items():
        place.clear()
        stop_at(place, 4)
        damage(os.path.join(place.work, "journal"))
        check_goes_on(place, f"journal {name}")
    for name in ("out.partial", "out.work"):
        place.clear()
        stop_at(place, 4)
        shutil.rmtree(place.at(name))
        check_goes_on(place, f"{name} deleted between two runs")
    place.clear()
    stop_at(place, 4)
    shard = sorted(glob.glob(os.path.join(place.partial, "*.safetensors")))[0]
    os.truncate(shard, os.path.getsize(shard) - 1)
    check_goes_on(place, "a partial shard cut short")


def deleted_while_running(place, layers):
    for name in ("out.work", "out.work/act", "out.partial"):
        for layer in range(1, layers + 1):
            place.clear()
            run = place.start()
            lines = []
            for line in run.stderr:
                lines.append(line.decode())
                if f"[{layer}/" in lines[-1]:
                    break
            shutil.rmtree(place.at(name), ignore_errors=True)
            lines.append(run.communicate(timeout=120)[1].decode())
            what = f"{name} deleted after {layer} layers"
            text = "".join(lines)
            check(run.returncode in (0, 5, 9), f"{what}: an error, or none", f"exit {run.returncode}\n{text}")
            if run.returncode != 0:
                last = text.rstrip("\n").split("\n")[-1]
                check(last.startswith("strata: ") and place.root in last, f"{what}: one clear line", text)
            if os.path.isdir(place.out):
                check(place.whole(), f"{what}: no wrong output", text)
                continue
            check(run.returncode != 0, f"{what}: no success without an output", text)
            result = place.run()
            check(result.code == 0 and place.whole(), f"{what}: the same command ends well", result)


BACKWARDS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>
static atomic_long calls;
int clock_gettime(clockid_t id, struct timespec *t) {
  int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, t);
  if (id == CLOCK_REALTIME) t->tv_sec -= 3600 * (1 + atomic_fetch_add(&calls, 1));
  return result;
}
int gettimeofday(struct timeval *restrict t, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *t) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}
"""


def clock_backwards(place, root, sanitized):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sanitized:
        print("not tested: a clock that goes backwards needs a C compiler and a program without sanitizers")
        return
    source, library = os.path.join(root, "backwards.c"), os.path.join(root, "backwards.so")
    with open(source, "w", encoding="utf-8") as file:
        file.write(BACKWARDS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    place.clear()
    code, text = stop_at(place, 3, signal.SIGTERM)
    result = place.run(env={**os.environ, "LD_PRELOAD": library})
    check(result.code == 0, "the clock goes backwards: exit 0", result)
    place.check_whole("the clock goes backwards", result)
    hours = [event["time"] for event in place.events("layer")]
    check(hours != sorted(hours), "the clock did go backwards", hours)


def read_only(place):
    place.clear()
    if os.geteuid() == 0:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", place.root], stderr=subprocess.DEVNULL)
        if mounted.returncode != 0:
            print("not tested: a read-only output needs a user that is not root, or the right to mount")
            return
        result = place.run()
        subprocess.run(["umount", place.root], check=True)
    else:
        os.chmod(place.root, 0o500)
        result = place.run()
        os.chmod(place.root, 0o700)
    check(result.code in (2, 9), "a read-only output: exit 9 or 2", result)
    check(place.root in result.err.split("strata: ")[-1], "a read-only output: names it", result)
    check_goes_on(place, "a read-only output")


def main():
    short = "--short" in sys.argv
    with tempfile.TemporaryDirectory(prefix="strata_faults_") as root:
        models = [os.path.join(root, "models", name) for name in ("dense", "finetune")]
        for seed, model in enumerate(models):
            write_dense_model(model, seed + 1)
        place = Place(root, "place", models[0], *calibrated("NVFP4", 32, 128))
        calls = place.undisturbed()
        finished = shutil.copytree(place.out, os.path.join(root, "finished"))
        steps = [lambda: full_disk(place, calls, short), lambda: full_disk_for_good(place, place.layers),
                 lambda: small_disk(place, root, finished), lambda: short_transfers(place), lambda: broken_source(place),
                 lambda: changed_source(root, models), lambda: changed_and_back(root, models),
                 lambda: killed_twice(place, calls), lambda: changed_work(place),
                 lambda: deleted_while_running(place, 2 if short else place.layers),
                 lambda: clock_backwards(place, root, short), lambda: read_only(place)]
        only = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else ""
        for step in steps:
            if only not in step.__code__.co_names[0]:
                continue
            began = time.monotonic()
            step()
            print(f"{time.monotonic() - began:6.1f} s {step.__code__.co_names[0]}", flush=True)
    finish()


main()
