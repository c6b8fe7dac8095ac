"""Exit codes of models and machines that are not right: 4, 5, 6, 8, 9, 75, 130, 143."""

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess

from program import HELDOUT, MODEL, PROGRAM, check, check_error, finish, folder, strata


def interrupted(arguments, *signals):
    """Sends signals when the first layer is done."""
    run = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = ""
    while "[1/" not in seen:
        line = run.stderr.readline()
        if not line:
            break
        seen += line
    for number in signals:
        run.send_signal(number)
    out, err = run.communicate(timeout=120)
    return run.returncode, out, seen + err


def edit_json(path, **changes):
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    value.update(changes)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


with folder() as temporary:
    def path(*names):
        return os.path.join(temporary, *names)

    # 5: no model, no checkpoint, a family that is not known.
    check_error(strata("inspect", path("missing")), 5, path("missing"))
    os.mkdir(path("empty"))
    check_error(strata("quantize", path("empty"), "-o", path("out"), "--scheme", "KEEP"), 5, path("empty"))
    shutil.copytree(MODEL, path("other"))
    edit_json(path("other", "config.json"), architectures=["Qwen3MeoForCausalLM"], model_type="qwen3_meo")
    check_error(strata("plan", path("other"), "--scheme", "KEEP"), 5, "Qwen3MeoForCausalLM", "did you mean Qwen3MoeForCausalLM?")
    unknown = strata("inspect", path("other"))
    check(unknown.code == 0 and "not known" in unknown.out, "inspect answers for unknown families", unknown)
    check(strata("inspect", path("other"), "--json").json()["family"] is None, "and says so to programs")

    # 4: memory.
    small = ["--scheme", "KEEP", "--max-memory", "1MB"]
    check_error(strata("quantize", MODEL, "-o", path("out"), *small), 4, "--max-memory", "smallest limit")
    planned = strata("plan", MODEL, *small)
    check(planned.code == 4 and "DOES NOT FIT" in planned.out and "smallest limit" in planned.err, "plan tells as well", planned)
    check(not os.path.exists(path("out")) and not os.path.exists(path("out.work")), "nothing was written")

    # 9: results and outputs that cannot be written.
    with open("/dev/full", "wb") as full:
        result = strata("formats", stdout=full)
        check(result.code == 9 and result.err.startswith("strata: standard output: "), "a full disk behind stdout", result)
    with open(path("file"), "w", encoding="utf-8") as file:
        file.write("x")
    check_error(strata("quantize", MODEL, "-o", path("file", "out"), "--scheme", "KEEP"), 9, path("file"))

    result = strata("quantize", MODEL, "-o", path("big"), "--scheme", "KEEP",
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16)))
    check_error(result, 9, path("big.partial"))
    check(not os.path.exists(path("big")), "a failed write leaves nothing that looks whole", os.listdir(temporary))

    # 8: another run holds the work directory.
    os.mkdir(path("busy.work"))
    with open(path("busy.work", "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = strata("quantize", MODEL, "-o", path("busy"), "--scheme", "KEEP")
        check(result.code == 8 and "busy.work" in result.err, "a second writer gets exit 8", result)

    # 6: a damaged output.
    check(strata("quantize", MODEL, "-o", path("good"), "--scheme", "W4A16", "-q").code == 0, "quantize")
    check(strata("verify", path("good")).code == 0, "verify")
    shutil.copytree(path("good"), path("bad"))
    with open(path("bad", "model.safetensors"), "r+b") as shard:
        length = int.from_bytes(shard.read(8), "little")
        header = json.loads(shard.read(length))
        begin, end = header["model.norm.weight"]["data_offsets"]
        shard.seek(8 + length + begin)
        shard.write(b"\0" * (end - begin))
    result = strata("verify", path("bad"), "--source", MODEL)
    check(result.code == 6 and "model.norm.weight" in result.err and "model.norm.weight" in result.out, "verify names it", result)
    answer = strata("verify", path("bad"), "--source", MODEL, "--json")
    check(answer.code == 6 and answer.json()["failures"][0]["subject"] == "model.norm.weight", "verify --json", answer)

    # 75: stopped, and the same command goes on. 130 and 143: stopped at once.
    slow = ["quantize", MODEL, "-o", path("slow"), "--scheme", "NVFP4", "--dataset", HELDOUT, "--nsamples", "64", "--seqlen", "256",
            "--threads", "1"]
    for number in [signal.SIGINT, signal.SIGTERM]:
        returned, out, err = interrupted(slow, number)
        check(returned == 75, f"signal {number} exits 75, not {returned}", err)
        # Before the first decoder layer is done nothing is kept.
        last = err.splitlines()[-1]
        check(out == "" and ("layers are done; go on with: strata quantize " in last or "start again with: strata quantize " in last),
              "says how to go on", err)
        check(not os.path.exists(path("slow")), "nothing half-done looks whole")
    with open(path("slow.work", "events.jsonl"), encoding="utf-8") as file:
        last = json.loads(file.read().splitlines()[-1])
    check(last["event"] == "error" and last["exit_code"] == 75, "the journal holds the end", last)
    returned, out, err = interrupted(slow, signal.SIGINT, signal.SIGTERM)
    check(returned in (130, 143) and "go on with" not in err, "a second signal stops at once", err)
    check(not os.path.exists(path("slow")), "nothing half-done looks whole")
    check(strata(*slow, "-q").code == 0 and os.path.exists(path("slow", "config.json")), "the same command works")
finish()
