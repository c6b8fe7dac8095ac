"""Who sees what: results on stdout, progress on stderr, a status line on terminals only."""

import json
import os
import pty
import re
import subprocess

from program import CALIBRATION, MODEL, PROGRAM, check, finish, folder, strata


def on_terminal(arguments, columns):
    """Runs with stderr on a terminal of that width; gives what the terminal saw and the exit code."""
    control, terminal = pty.openpty()
    subprocess.run(["stty", "cols", str(columns)], stdin=terminal, check=True)
    with subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal) as run:
        os.close(terminal)
        seen = b""
        while True:
            try:
                more = os.read(control, 65536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            seen += more
        return seen.decode(), run.wait()


with folder() as temporary:
    def out(name):
        return os.path.join(temporary, name)

    calibrated = ["--scheme", "NVFP4", "--dataset", CALIBRATION, "--nsamples", "4", "--seqlen", "64"]

    piped = strata("quantize", MODEL, "-o", out("piped"), *calibrated)
    check(piped.code == 0, "quantize succeeds", piped)
    check(not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", piped.err + piped.out), "a pipe gets no control characters", piped)
    layers = re.findall(r"^\[ ?(\d+)/(\d+)\] (\w+)", piped.err, re.M)
    check(len(layers) == 6 and layers[0][2] == "embedding" and layers[-1][2] == "head", "one line a layer", piped)
    check(re.search(r"\[2/6\] layer 0   moe .* s .* [GM]B/s .* [KMG]iB  err +[\d.]+%  .*NVFP4 \d+", piped.err), "a layer line", piped)
    check(piped.out.startswith("output") and "bits per parameter" in piped.out, "the result is on stdout", piped)
    check("B/s" not in piped.out, "no progress on stdout", piped)

    colored = strata("quantize", MODEL, "-o", out("piped"), *calibrated, "--color=always")
    check(colored.err == "\x1b[31mstrata:\x1b[0m " + colored.err[len("\x1b[31mstrata:\x1b[0m "):], "--color always", colored)

    quiet = strata("quantize", MODEL, "-o", out("quiet"), *calibrated, "-q")
    decided = all(line.startswith("decision: ") for line in quiet.err.splitlines())
    check(quiet.code == 0 and decided, "-q leaves decisions alone", quiet)

    verbose = strata("quantize", MODEL, "-o", out("verbose"), *calibrated, "-v")
    check("  formats: NVFP4" in verbose.err and "wrote" in verbose.err, "-v tells more", verbose)

    seen, code = on_terminal(["quantize", MODEL, "-o", out("terminal"), *calibrated], 72)
    check(code == 0, "quantize on a terminal", seen)
    status = re.findall(r"\r\x1b\[K(\[[#.]{20}\] \d/6  [^\r\n]*)", seen)
    check(len(status) >= 6, "a terminal has a status line after every layer", repr(seen))
    check(any(" left" in line for line in status), "the status line has an ETA", repr(seen))
    check(" left" not in "".join(status[:2]), "no ETA before two layers of a kind", repr(seen))
    plain = re.sub(r"\x1b\[\d*[A-Za-z]", "", seen)
    check(max(len(line.rstrip("\r").split("\r")[-1]) for line in plain.split("\n")) <= 72, "lines are cut to the terminal", repr(seen))
    check(seen.rstrip().endswith("MiB") and "done in" in seen, "the status line is gone at the end", repr(seen))
    quiet_seen, code = on_terminal(["quantize", MODEL, "-o", out("hush"), *calibrated, "-q"], 72)
    decided = all("decision:" in line or line.startswith("    ") for line in quiet_seen.splitlines())  # and what continues it
    check(code == 0 and decided, "-q on a terminal", repr(quiet_seen))

    logged = strata("quantize", MODEL, "-o", out("logged"), "-w", out("records"), *calibrated, "--log-format", "json")
    events = [json.loads(line) for line in logged.err.splitlines()]
    names = [event["event"] for event in events]
    check(names[0] == "run_start" and names[-1] == "run_end", "JSON events from start to end", logged)
    check(names.count("layer") == 6 and names.count("pass_start") == 1, "JSON events of layers", logged)
    check(events[0]["arguments"][0] == MODEL and events[0]["schema"] == 1, "run_start holds the command line", logged)
    with open(os.path.join(out("records"), "events.jsonl"), encoding="utf-8") as file:
        journal = [json.loads(line) for line in file]
    check([event["event"] for event in journal] == names, "events.jsonl holds the same events", journal)
    check(not os.path.exists(out("logged.work")), "-w moves the work directory")

    failed = strata("quantize", MODEL, "-o", out("logged"), *calibrated, "--log-format", "json")
    error = json.loads(failed.err)
    check(error["event"] == "error" and error["exit_code"] == 2 == failed.code, "an error is a JSON event", failed)
    check(error["kind"] == "usage" and "exists already" in error["message"], "with kind and message", failed)
    mistyped = strata("quantize", MODEL, "--log-format=json", "--shceme", "KEEP")
    check(json.loads(mistyped.err)["exit_code"] == 2, "a mistyped flag is a JSON event, too", mistyped)
finish()
