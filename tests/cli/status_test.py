"""strata status: what events.jsonl and the lock of a work directory say, of made-up runs and of a real one."""

import datetime
import fcntl
import json
import os
import signal
import subprocess
import time

from program import HELDOUT, MODEL, PROGRAM, check, check_error, finish, folder, strata


def stamp(seconds_ago):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds_ago)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def start(ago=100, **changes):
    return {"event": "run_start", "time": stamp(ago), "schema": 1, "version": "0.1.0", "command": "quantize",
            "arguments": ["my model", "-o", "out"], "directory": "/somewhere/else", "model": "my model", "family": "llama",
            "facts": {}, **changes}


def layer(index, kind, seconds, ago, total=6):
    return {"event": "layer", "time": stamp(ago), "index": index, "total": total, "name": f"layer {index - 1}" if index else
            "embedding", "kind": kind, "formats": {}, "weight_error": 0.0, "seconds": seconds, "bytes_read": 100,
            "bytes_written": 40, "resident": 1 << 20}


PASS = {"event": "pass_start", "time": stamp(99), "name": "render", "layers": 6}
THREE = [start(), PASS, layer(0, "embedding", 1, 90), layer(1, "dense", 20, 70), layer(2, "dense", 30, 40),
         layer(3, "dense", 40, 5)]
ERROR = {"event": "error", "time": stamp(2), "kind": "io", "message": "disk: full", "exit_code": 9}
END = {"event": "run_end", "time": stamp(2), "facts": {}, "seconds": 98.5, "peak_resident": 1}

with folder() as temporary:
    def work(name, *events, tail=""):
        path = os.path.join(temporary, name)
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "events.jsonl"), "w", encoding="utf-8") as file:
            file.write("".join(json.dumps(event) + "\n" for event in events) + tail)
        return path

    def status(path):
        result = strata("status", path, "--json")
        check(result.code == 0 and result.err == "", "status exits 0", result)
        return result.json()

    # Running: the lock is held by somebody else, and still is afterwards.
    running = work("running", *THREE)
    with open(os.path.join(running, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        seen = status(running)
        expected = {"state": "running", "command": "quantize", "model": "my model", "family": "llama", "pass": "render",
                    "layers_done": 4, "layers": 6, "layer": "layer 2", "bytes_read": 400, "bytes_written": 160,
                    "resident": 1 << 20, "error": None, "continue": None, "output": None, "version": "0.1.0"}
        check({key: seen[key] for key in expected} == expected, "a running run", seen)
        check(95 < seen["seconds"] < 130, "seconds since the start", seen)
        # The median of three dense layers is 30 s; two are left, and 5 s of the next one have passed.
        check(45 < seen["seconds_left"] <= 55.5, "time left by the median of the kind", seen)
        text = strata("status", running + "/").out
        for part in ["running", "my model (llama)", "4 of 6, the last: layer 2", "400 bytes", "160 bytes", "left"]:
            check(part in text, f"the table says: {part}", text)
        check("go on" not in text, "nothing to go on with while it runs", text)

        only_lock = os.path.join(temporary, "only_lock")
        os.mkdir(only_lock)
    with open(os.path.join(only_lock, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check(status(only_lock)["state"] == "running", "a run that has recorded nothing yet")
    check_error(strata("status", only_lock), 5, only_lock, "not the work directory")

    # The lock is free: the process is gone.
    seen = status(running)
    check(seen["state"] == "killed" and seen["seconds_left"] is None, "killed", seen)
    check(90 < seen["seconds"] < 100, "a killed run ends with its last event", seen)
    check(seen["continue"] == "cd /somewhere/else && strata quantize 'my model' -o out", "the command to go on with", seen)
    here = work("here", start(directory=os.getcwd()))
    check(status(here)["continue"] == "strata quantize 'my model' -o out", "no cd where it was typed here")

    failed = status(work("failed", *THREE, ERROR))
    check(failed["state"] == "failed" and failed["error"] == {"kind": "io", "message": "disk: full", "exit_code": 9}, "failed", failed)
    check("failed with exit code 9" in strata("status", os.path.join(temporary, "failed")).out, "and the table says so")
    stopped = status(work("stopped", *THREE, {**ERROR, "kind": "interrupted", "exit_code": 75}))
    check(stopped["state"] == "interrupted" and stopped["continue"], "interrupted", stopped)
    ended = status(work("ended", *THREE, END))
    check(ended["state"] == "finished" and ended["seconds"] == 98.5 and ended["continue"] is None, "finished", ended)

    clean = {"event": "clean", "time": stamp(1), "bytes": 7}
    for name, events, state in [("cleaned", THREE, "cleaned"), ("cleaned after an error", [*THREE, ERROR], "cleaned"),
                                ("tidied", [*THREE, END], "finished")]:
        seen = status(work(name, *events, clean))
        check(seen["state"] == state and seen["continue"] is None, name, seen)
    begun = status(work("begun again", *THREE, clean, start(1)))
    check(begun["state"] == "killed", "a run after cleaning", begun)

    # Only the last run counts, and only its last pass.
    again = status(work("again", *THREE, ERROR, start(50), PASS, layer(4, "dense", 1, 9)))
    check(again["state"] == "killed" and again["error"] is None and again["layers_done"] == 5, "the last run", again)
    check(again["bytes_read"] == 100, "bytes of the last run", again)

    # Torn and damaged records.
    whole = json.dumps(layer(4, "dense", 40, 1))
    for cut in [1, 10, *range(20, len(whole), 40), len(whole) - 1]:
        torn = strata("status", work("torn", *THREE, tail=whole[:cut]), "--json")
        if torn.code != 0 or torn.json()["layers_done"] != 4:
            check(False, f"a last line torn at {cut}", torn)
    behind = status(work("behind", *THREE, tail=whole[:50] + json.dumps(start(3, model="new")) + "\n" + json.dumps(PASS) + "\n"))
    check(behind["model"] == "new" and behind["layers_done"] == 0, "a run that begins behind a torn line", behind)
    odd = status(work("odd", [], 7, {"event": 3}, {}, start(arguments="x", model=5, directory=None), {**PASS, "layers": "many"},
                      {"event": "layer", "index": -9e99, "seconds": None, "bytes_read": -1}, tail="\0\xff\n{\n"))
    check(odd["state"] == "killed" and odd["model"] is None and odd["arguments"] == [], "values of the wrong type", odd)

    with open(os.path.join(running, "run.json"), "w", encoding="utf-8") as file:
        json.dump({"output": "/data/out", "model": "/data/model"}, file)
    check(status(running)["output"] == "/data/out", "run.json names the output")

    check_error(strata("status", os.path.join(temporary, "missing")), 5, "missing")
    check_error(strata("status", MODEL), 5, MODEL, "not the work directory")
    check_error(strata("status"), 2, "WORK: missing")
    check_error(strata("status", work("empty")), 5, "no run has begun")

    # A real run, seen from outside, and what it says of itself when it is stopped.
    out = os.path.join(temporary, "out")
    arguments = [MODEL, "-o", out, "--scheme", "NVFP4", "--dataset", HELDOUT, "--nsamples", "64", "--seqlen", "256", "--threads", "1"]
    run = subprocess.Popen([PROGRAM, "quantize", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while "[2/" not in run.stderr.readline():
        pass
    run.send_signal(signal.SIGSTOP)  # it is over in seconds otherwise
    seen = status(out + ".work")
    check(seen["state"] == "running" and seen["layers"] == 6 and 2 <= seen["layers_done"] < 6, "a real run", seen)
    check(seen["arguments"] == arguments and seen["bytes_read"] > 0, "its command line and bytes", seen)
    check_error(strata("quantize", *arguments), 8, "out.work")
    run.send_signal(signal.SIGTERM)
    run.send_signal(signal.SIGCONT)
    last = run.communicate(timeout=120)[1].splitlines()[-1]
    seen = status(out + ".work")
    check(run.returncode in (75, 143) and seen["state"] == "interrupted", "stopped", seen)
    command = " ".join(["strata", "quantize", *arguments])
    check(seen["continue"] == command and last.endswith(command), "the error and status name the same command", last)
    check(seen["error"]["exit_code"] == run.returncode, "with its exit code", seen)

    # Looking does not disturb: a run starts while others look all the time.
    watchers = [subprocess.Popen(["sh", "-c", f"while :; do '{PROGRAM}' status '{out}.work' > /dev/null; done"]) for _ in range(2)]
    time.sleep(0.2)
    for _ in range(3):
        quick = strata("quantize", MODEL, "-o", out, "--scheme", "KEEP", "--force", "-q")
        check(quick.code == 0, "a run starts while somebody looks", quick)
    for watcher in watchers:
        watcher.kill()
        watcher.wait()
    check(status(out + ".work")["state"] == "finished", "and finishes")
finish()
