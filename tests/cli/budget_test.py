"""--max-memory is obeyed: the smallest limit that a refusal names works, the peak that the kernel counts stays below any
limit, and the bytes are those of a run without one."""

import hashlib
import os
import re
import shutil

import program
from checkpoint import write_ids, write_model
from program import check, strata

def run(arguments):
    """Exit code and peak resident bytes of a run, as the kernel counted them."""
    pid = os.posix_spawn(program.PROGRAM, [program.PROGRAM, *map(str, arguments)], os.environ,
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                                       (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024


def digest(folder):
    total = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            total.update(name.encode() + hashlib.sha256(file.read()).digest())
    return total.hexdigest()


def smallest_limit(arguments):
    refused = strata("quantize", *arguments, "--max-memory", "1MiB")
    check(refused.code == 4, "a limit of 1 MiB is refused", refused)
    return int(re.search(r"smallest limit that works is (\d+)MiB", refused.err).group(1)) << 20


def line(name, limit, planned, peak):
    mib = 2.0**20
    print(f"{name:32} limit {limit / mib:7.1f}  plan {planned / mib:7.1f}  peak {peak / mib:7.1f} MiB   "
          f"peak/plan {peak / planned:.3f}  peak/limit {peak / limit:.3f}", flush=True)


def compare(work, name, model, *arguments):
    out = os.path.join(work, "out")
    arguments = [model, "-o", out, *arguments]

    def quantized(what, *limit):
        planned = strata("plan", *arguments, *limit, "--json").json()["peak_memory"]
        code, peak = run(["quantize", *arguments, *limit, "-q"])
        check(code == 0, f"{name}: {what} works", code)
        if code != 0:
            return planned, peak, None
        written = digest(out)
        shutil.rmtree(out)
        shutil.rmtree(out + ".work")
        return planned, peak, written

    planned, peak, expected = quantized("a run without a limit")
    line(f"{name}, no limit", planned, planned, peak)
    smallest = smallest_limit(arguments)
    for what, limit in [("1.1 x smallest", smallest * 11 // 10), ("smallest", smallest)]:
        planned, peak, written = quantized(what, "--max-memory", limit)
        line(f"{name}, {what}", limit, planned, peak)
        check(peak <= limit, f"{name}, {what}: the peak stays below the limit", f"{peak} > {limit}")
        check(written == expected, f"{name}, {what}: the same bytes")


def main():
    program.starts.program = None  # a fork takes less memory than an exec before it begins, so its plan is another
    with program.folder() as work:
        models = {"demo": (program.MODEL, 1024)}
        for name, shape in {"dense": (1024, 2048, 2, 8000), "moe": (512, 512, 3, 4000, 16)}.items():
            models[name] = os.path.join(work, name), shape[3]
            write_model(models[name][0], *shape)
        for name, (model, vocabulary) in models.items():
            for rows, columns in [(8, 64), (64, 256)]:
                ids = os.path.join(work, f"{name}.{rows}.safetensors")
                write_ids(ids, rows, columns, vocabulary)
                compare(work, f"{name} {rows}x{columns}", model, "--scheme", "NVFP4", "--dataset", ids, "--nsamples", rows,
                        "--seqlen", columns)
        compare(work, "dense without data", models["dense"][0], "--scheme", "FP8_DYNAMIC")
    program.finish()


main()
