"""Ways out of runs that find something where they work, or that were stopped: folders, journals, memory, time."""

import fcntl
import os
import re
import shutil
import signal
import subprocess

from program import CALIBRATION, HELDOUT, MODEL, PROGRAM, check, strata
from ways import fill, read_tensors, way

SCHEME = ("--scheme", "NVFP4A16")


def quantize(case, out="out", model=MODEL, scheme=SCHEME):
    return ["quantize", model, "-o", case.path(out), *scheme]


def tokenize(case, name="ids.safetensors", data=HELDOUT):
    return ["tokenize", MODEL, "--dataset", data, "--seqlen", "8", "--nsamples", "1", "-o", case.path(name)]


def stopped(case, *more, model=MODEL):
    """A run that is stopped after its second layer; gives the arguments and what it said last."""
    data = ["--dataset", HELDOUT, "--nsamples", "64", "--seqlen", "256", "--threads", "1"]
    arguments = [*quantize(case, model=model, scheme=("--scheme", "NVFP4")), *data, *more]
    run = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for line in run.stderr:
        if "[2/" in line:
            break
    run.send_signal(signal.SIGINT)
    last = run.communicate(timeout=120)[1].rstrip("\n").split("\n")[-1]
    check(run.returncode == 75, "the run was stopped", last)
    return arguments, last


def pasted(case, command):
    """Runs a printed command in a shell where `strata` is the program under test."""
    os.makedirs(case.path("bin"), exist_ok=True)
    if not os.path.islink(case.path("bin", "strata")):
        os.symlink(PROGRAM, case.path("bin", "strata"))
    environment = dict(os.environ, PATH=case.path("bin") + ":" + os.environ["PATH"])
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, timeout=300, check=False)
    check(done.returncode == 0, f"the way out of '{case.words}' works: {command}", done.stdout + done.stderr)
    return done.stdout


@way("another run is using it; wait for that run to end")
def busy(case):
    os.mkdir(case.path("out.work"))
    with open(case.path("out.work", "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        case.says(8, *quantize(case))
    case.works(*quantize(case))


@way("is or lies in {}, which is read; choose another")
def over_what_is_read(case):
    data = shutil.copy(HELDOUT, case.path("data.jsonl"))
    case.says(2, *tokenize(case, "data.jsonl", data), "--force")
    case.works(*tokenize(case, "ids.safetensors", data))


@way("{}: is a link; name the file itself")
def link(case):
    os.symlink(case.path("file.safetensors"), case.path("link.safetensors"))
    case.says(2, *tokenize(case, "link.safetensors"), "--force")
    case.works(*tokenize(case, "file.safetensors"))


@way("is not a plain file; choose another name")
def pipe(case):
    os.mkfifo(case.path("pipe"))
    case.says(2, *tokenize(case, "pipe"), "--force")
    case.works(*tokenize(case, "file"))


@way("exists already; choose another name, or --force to replace it")
def file_exists(case):
    case.write("ids.safetensors", "old")
    case.says(2, *tokenize(case))
    case.works(*tokenize(case, "other.safetensors"))
    case.works(*tokenize(case), "--force")


@way("lies in {}, where the run would work; choose another output")
def model_is_partial(case):
    model = shutil.copytree(MODEL, case.path("out.partial"))
    case.says(2, *quantize(case, "out", model))
    case.works(*quantize(case, "other", model))


@way("lies in the source {}; choose another output")
def output_in_source(case):
    model = shutil.copytree(MODEL, case.path("model"))
    case.says(2, *quantize(case, "model/out", model), "-w", case.path("work"))
    case.works(*quantize(case, "out", model), "-w", case.path("work"))


@way("is or holds the source {}; choose another output")
def output_is_source(case):
    model = shutil.copytree(MODEL, case.path("model"))
    case.says(2, *quantize(case, "model", model), "--force")
    case.works(*quantize(case, "out", model))


@way("is a mount point and cannot appear at once; name a folder in it")
def mount_point(case):
    if not (os.path.ismount("/dev/shm") and os.access("/dev", os.W_OK) and os.access("/dev/shm", os.W_OK)):
        return  # nothing that is mounted may be written here
    inside = os.path.join("/dev/shm", os.path.basename(case.folder))
    case.says(2, "quantize", MODEL, "-o", "/dev/shm", "-w", case.path("work"), *SCHEME, "--force")
    case.works("quantize", MODEL, "-o", inside, "-w", case.path("work"), *SCHEME)
    shutil.rmtree(inside)


@way("{}: is a link; name the folder itself")
def output_is_link(case):
    os.symlink(case.path("folder"), case.path("link"))
    case.says(2, *quantize(case, "link"))
    case.works(*quantize(case, "folder"))


@way("the output that an interrupted --force was about to replace; move or remove it")
def set_aside(case):
    case.works(*quantize(case))
    shutil.copytree(case.path("out"), case.path("out.replaced"))
    case.says(2, *quantize(case), "--force")
    os.rename(case.path("out.replaced"), case.path("elsewhere"))
    case.works(*quantize(case), "--force")
    shutil.copytree(case.path("out"), case.path("out.replaced"))
    case.says(2, *quantize(case), "--force")
    shutil.rmtree(case.path("out.replaced"))
    case.works(*quantize(case), "--force")


@way("exists already; choose another output or replace it with --force")
def output_exists(case):
    case.works(*quantize(case))
    case.says(2, *quantize(case))
    case.works(*quantize(case, "other"))
    case.works(*quantize(case), "--force")


@way("{}: is a file; choose another output")
def output_is_file(case):
    case.write("out", "text")
    case.says(2, *quantize(case), "--force")
    case.works(*quantize(case, "other"))


@way("holds something that is not a checkpoint; remove it yourself or choose another output")
def output_is_project(case):
    case.write("out/main.c", "text")
    case.says(2, *quantize(case), "--force")
    case.works(*quantize(case, "other"))
    shutil.rmtree(case.path("out"))
    case.works(*quantize(case))


@way("-w {}: is or lies in {}, which the records of a run must not enter; choose another")
def work_in_output(case):
    for place in ["out", "out/work", "out.partial"]:
        case.says(2, *quantize(case), "-w", case.path(place))
    case.works(*quantize(case), "-w", case.path("work"))


@way("-w {}: {} lies in a folder that the run clears; choose another")
def work_that_clears(case):
    model = shutil.copytree(MODEL, case.path("work", "act", "model"))
    case.says(2, *quantize(case, "out", model), "-w", case.path("work"))
    case.works(*quantize(case, "out", model), "-w", case.path("other"))


@way("-w {}: holds the records of a strata quantize; name another folder")
def work_of_quantize(case):
    evaluate = ["eval", MODEL, "--against", MODEL, "--dataset", HELDOUT, "--window", "16", "--max-tokens", "32", "-w"]
    case.works(*quantize(case), "-w", case.path("work"))
    case.says(2, *evaluate, case.path("work"))
    case.works(*evaluate, case.path("other"))
    check(os.listdir(case.path("other")) == ["lock"], "what was kept for going on goes with the end", os.listdir(case.path("other")))


@way("-w {}: holds files that no run left, and a run removes files there; name a new folder")
def work_of_others(case):
    case.write("work/thesis.txt", "text")
    case.says(2, *quantize(case), "-w", case.path("work"))
    case.works(*quantize(case), "-w", case.path("new"))


@way("-w {}: is a file; choose another work directory")
def work_is_file(case):
    case.write("work", "text")
    case.says(2, *quantize(case), "-w", case.path("work"))
    case.works(*quantize(case), "-w", case.path("other"))


@way("of ours; choose another work directory (-w)")
def foreign_journal(case):
    case.write("work/journal", "dear diary")
    case.says(2, *quantize(case), "-w", case.path("work"))
    case.works(*quantize(case), "-w", case.path("other"))


@way("is not a journal of ours; choose another work directory (-w)")
def foreign_journal_is_kept(case):
    case.write("work/journal", "dear diary")
    case.says(2, *quantize(case), "-w", case.path("work"), "--resume", "never")
    case.works(*quantize(case), "-w", case.path("other"), "--resume", "never")


@way("--trace {}: is there already, and is no trace; choose another name")
def trace_over_text(case):
    case.write("trace", "text")
    case.says(2, *quantize(case), "--trace", case.path("trace"))
    case.works(*quantize(case), "--trace", case.path("other"))


@way("--trace {}: is not a plain file; choose another name")
def trace_over_folder(case):
    os.mkdir(case.path("trace"))
    case.says(2, *quantize(case), "--trace", case.path("trace"))
    case.works(*quantize(case), "--trace", case.path("other"))


@way("is not a folder, but the run works in a folder of that name; remove it")
def partial_is_file(case):
    case.write("out.partial", "text")
    case.says(2, *quantize(case))
    os.remove(case.path("out.partial"))
    case.works(*quantize(case))


@way("which no run of ours left; remove the folder yourself or choose another output")
def partial_of_others(case):
    case.write("out.partial/thesis.txt", "text")
    case.says(2, *quantize(case))
    case.works(*quantize(case, "other"))
    shutil.rmtree(case.path("out.partial"))
    case.works(*quantize(case))


@way("the smallest limit that works is {}")
def max_memory(case):
    said = case.says(4, *quantize(case), "--max-memory", "1MiB")
    case.works(*quantize(case), "--max-memory", re.search(r"limit that works is (\S+)", said)[1])


@way("the hidden states of three layers need {}; the smallest limit that works is {}")
def disk(case):
    data = ["--dataset", CALIBRATION, "--nsamples", "4", "--seqlen", "16"]
    arguments = [*quantize(case, scheme=("--scheme", "NVFP4")), *data]
    said = case.says(4, *arguments, "--disk", "1KiB")
    case.works(*arguments, "--disk", re.search(r"limit that works is (\S+)", said)[1])


@way("memory: the run needs {} but {} are available; {}")
def memory(case):
    # A window of a billion tokens takes more than machines have; nothing is read for a plan.
    model = case.llama(vocabulary=16, max_position_embeddings=1 << 31)
    plan = {"--nsamples": "1", "--seqlen": str(1 << 30)}

    def arguments():
        return ["plan", model, "--scheme", "NVFP4", "--dataset", case.ids(vocabulary=16), *sum(plan.items(), ())]

    said = case.says(4, *arguments())
    plan.update([re.search(r"are available; (--\w+ \d+) fits", said)[1].split()])
    case.works(*arguments())


@way("--resume never starts over")
def broken_journal(case):
    arguments, _ = stopped(case)
    with open(case.path("out.work", "journal"), "r+b") as file:
        first = file.readline()
        file.seek(0)
        file.write(re.sub(rb"\d+", lambda number: b"9" * len(number[0]), first))
    case.says(7, *arguments)
    case.works(*arguments, "--resume", "never")


@way("--resume require, but {}; --resume auto computes again what depends on it")
def changed_command(case):
    arguments, _ = stopped(case)
    changed = ["NVFP4A16" if word == "NVFP4" else word for word in arguments]
    case.says(7, *changed, "--resume", "require")
    case.works(*changed, "--resume", "auto")


@way("though size and time of the files are the same")
def changed_source(case):
    model = shutil.copytree(MODEL, case.path("model"))
    arguments, _ = stopped(case, model=model)
    # Hidden states that are gone make the run read again what it has read before.
    shutil.rmtree(case.path("out.work", "act"))
    path = os.path.join(model, "model-00001-of-00003.safetensors")
    times = os.stat(path)
    header, data = read_tensors(path)
    at = header["model.layers.0.mlp.experts.3.up_proj.weight"]["data_offsets"][0] + 12345
    with open(path, "r+b") as file:
        file.seek(times.st_size - len(data) + at)
        file.write(bytes([data[at] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    case.says(7, *arguments)
    case.works(*arguments, "--resume", "never")


@way("{} of {} layers are done; go on with: {}")
def go_on(case):
    _, last = stopped(case)
    pasted(case, re.search(r"go on with: (.*)", last)[1])
    case.works("verify", case.path("out"), "--source", MODEL)


@way("what `strata status {}` prints")
def long_command(case):
    unused = [word for i in range(60) for word in ("--ignore", f"*.layers.[{i % 4}].*norm")]
    _, last = stopped(case, *[word.replace("[", "").replace("]", "") for word in unused])
    check("go on with: what `strata status" in last, "a long command is not repeated", last)
    printed = pasted(case, re.search(r"what `(.*)` prints", last)[1])
    pasted(case, re.search(r"^go on with +(.*)", printed, re.M)[1])
    case.works("verify", case.path("out"), "--source", MODEL)


@way("before a layer was done; a longer --deadline is needed: {}")
def short_deadline(case):
    said = case.says(75, *quantize(case), "--deadline", "0.001")
    command = re.search(r"is needed: (.*)", said)[1]
    pasted(case, command.replace("--deadline 0.001", "--deadline 10m"))


@way("{}; what is done is kept: the same command goes on with it, `strata clean {}` removes it")
def kept(case):
    model = case.llama(layers=3)
    fill(model, "model.layers.2.mlp.down_proj.weight", 0x7FC0)
    said = case.says(5, *quantize(case, "my out", model))
    fill(model, "model.layers.2.mlp.down_proj.weight", 0x3C90)
    case.works(*quantize(case, "my out", model))
    fill(model, "model.layers.2.mlp.down_proj.weight", 0x7FC0)
    case.says(5, *quantize(case, "my out", model), "--force")
    pasted(case, re.search(r"with it, `(.*)` removes it", said)[1])
    check(not os.path.exists(case.path("my out.partial")), "it is removed")


@way("OUT.work or what -w named")
def not_a_work_folder(case):
    case.works(*quantize(case), "-w", case.path("records"))
    case.says(5, "status", MODEL)
    case.works("status", case.path("records"))


@way("is not the work directory of a run{}")
def output_for_work(case):
    case.works(*quantize(case))
    said = case.says(5, "status", case.path("out"))
    case.works("status", re.search(r"did you mean (\S+)\?", said)[1])


@way("there all columns count alike; more --nsamples reach more experts")
def unreached(case):
    few = [*quantize(case), "--dataset", CALIBRATION, "--seqlen", "2"]

    def groups(said):
        return sum(int(number) for number in re.findall(r"no calibration token reached (\d+) of", said))

    before = groups(case.says(0, *few, "--nsamples", "1"))
    more = strata(*few, "--nsamples", "512", "--force")
    check(more.code == 0 and groups(more.err) < before, "more windows reach more experts", more)
