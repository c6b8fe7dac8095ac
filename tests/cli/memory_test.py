"""The plan's peak memory is never less than what a run takes, and not far above it: without data, with data, on a larger model of one's own."""

import os

import program
from checkpoint import write_ids, write_model
from program import check, strata

PEAK_LINE = "VmHWM:"


def peak_of(arguments):
    """Peak resident bytes of a run, as the kernel counted them (GNU time would say the same)."""
    pid = os.posix_spawn(program.PROGRAM, [program.PROGRAM, *map(str, arguments)], os.environ,
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                                       (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    check(os.waitstatus_to_exitcode(status) == 0, "the run succeeds", " ".join(map(str, arguments)))
    return usage.ru_maxrss * 1024


def compare(name, arguments):
    planned = strata("plan", *arguments, "--json").json()["peak_memory"]
    measured = peak_of(["quantize", *arguments, "-q"])
    print(f"{name:28} planned {planned / 2**20:7.1f} MiB, measured {measured / 2**20:7.1f} MiB, "
          f"ratio {planned / measured:.2f}", flush=True)
    # Never less. Small models leave buffers of reading and writing (about 80 MiB in all) mostly untouched, and the blocks
    # of samples seldom need the most at one moment.
    check(measured <= planned <= 1.4 * measured + (80 << 20), f"{name}: the plan holds, and is not far above",
          f"{planned} planned, {measured} measured")


def main():
    program.starts.program = None  # a fork takes less memory than an exec before it begins, so its plan is another
    with program.folder() as work:
        def out(name):
            return ["-o", os.path.join(work, name)]

        compare("demo, NVFP4A16", [program.MODEL, *out("a"), "--scheme", "NVFP4A16"])
        compare("demo, NVFP4 64 x 256", [program.MODEL, *out("b"), "--scheme", "NVFP4", "--dataset", program.CALIBRATION,
                                         "--nsamples", "64", "--seqlen", "256"])
        model, ids = os.path.join(work, "model"), os.path.join(work, "ids.safetensors")
        write_model(model, 1024, 4096, 2, 16000)
        write_ids(ids, 64, 512, 16000)
        compare("Llama 1024, W4A16", [model, *out("c"), "--scheme", "W4A16"])
        compare("Llama 1024, NVFP4 64 x 512", [model, *out("d"), "--scheme", "NVFP4", "--dataset", ids, "--nsamples", "64",
                                               "--seqlen", "512"])
        window, long_ids = os.path.join(work, "window"), os.path.join(work, "long.safetensors")
        write_model(window, 256, 512, 1, 1000, architectures=["MistralForCausalLM"], model_type="mistral",
                    sliding_window=1024, max_position_embeddings=32768)
        write_ids(long_ids, 4, 8192, 1000)
        compare("Mistral, window, 4 x 8192", [window, *out("e"), "--scheme", "NVFP4", "--dataset", long_ids, "--nsamples", "4",
                                              "--seqlen", "8192"])
    program.finish()


main()
