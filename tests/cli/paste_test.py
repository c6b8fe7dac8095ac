"""Commands that are printed for pasting do what they say in a shell, whatever the folders are called."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import program
from program import HELDOUT, MODEL, PROGRAM, ROOT, check, strata

NAMES = ["plain", "my out", "it's", 'say "x"', "$HOME", "`id`", "a;b&c", "*", "~", "-out", "--force", "line\nbreak",
         "-n\n%d\\", "caf\u00e9 !x", "=ls", "#"]


class Shell:
    """A folder with the program as `strata`, and with a `vllm` that writes down what it is given."""

    def __init__(self, place):
        self.place = place
        os.mkdir(os.path.join(place, "bin"))
        os.symlink(PROGRAM, os.path.join(place, "bin", "strata"))
        with open(os.path.join(place, "bin", "vllm"), "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n')
        os.chmod(os.path.join(place, "bin", "vllm"), 0o755)

    def at(self, path):
        return os.path.normpath(os.path.join(self.place, path))

    def run(self, command):
        environment = dict(os.environ, PATH=os.path.join(self.place, "bin") + ":" + os.environ["PATH"])
        done = subprocess.run(["sh", "-c", command], capture_output=True, env=environment, cwd=self.place, timeout=300, check=False)
        check(done.returncode == 0, f"a shell runs: {command}", done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")


def printed(text, title):
    found = re.search(rf"^{title} +(.*)$", text, re.M)
    check(found, f"'{title}' is one line", text)
    return found[1] if found else "false"


def as_option(name):
    return "./" + name if name.startswith("-") else name


def summaries(shell, name):
    out, model = as_option(name), as_option(name + " model")
    shutil.copytree(MODEL, os.path.join(shell.place, name + " model"))
    result = strata("quantize", model, "-o", out, "--scheme", "NVFP4A16", "-q", cwd=shell.place)
    check(result.code == 0, f"quantize to {name!r}", result)
    check("verdict" in shell.run(printed(result.out, "check it")), "the check is a check", result.out)
    measure = printed(result.out, "measure it").replace("--dataset FILE", f"--dataset {shlex.quote(HELDOUT)}")
    check("perplexity" in shell.run(measure + " --window 8 --max-tokens 8"), "the measurement measures", measure)
    words = shell.run(printed(result.out, "serve it")).split("\0")[:-1]
    check(words[0] == "serve" and not words[1].startswith("-") and shell.at(words[1]) == shell.at(name), "vllm is given the folder",
          words)


def stopped(shell, name):
    out = as_option(name)
    arguments = [MODEL, "-o", out, "--scheme", "NVFP4", "--dataset", HELDOUT, "--nsamples", "64", "--seqlen", "256",
                 "--threads", "1"]
    run = subprocess.Popen([PROGRAM, "quantize", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                           cwd=shell.place)
    for line in run.stderr:
        if "[2/" in line:
            break
    run.send_signal(signal.SIGINT)
    last = run.communicate(timeout=120)[1].rstrip("\n").split("\n")[-1]
    check(run.returncode == 75, "the run was stopped", last)
    elsewhere = strata("status", os.path.join(shell.place, name + ".work")).out
    check(printed(elsewhere, "go on with").startswith("cd "), "from elsewhere it begins with cd", elsewhere)
    shell.run(printed(elsewhere, "go on with"))
    check(strata("verify", out, "--source", MODEL, cwd=shell.place).code == 0, "the run went on", out)
    shutil.rmtree(os.path.join(shell.place, name))
    shell.run(last.split("go on with: ")[-1])
    check(strata("verify", out, "--source", MODEL, cwd=shell.place).code == 0, "the error's command is whole", last)


def demo(shell, name):
    """The demo's summary prints such a line too."""
    measured, by_hand = (os.path.join(shell.place, file) for file in ("measured.json", "hand_made.json"))
    one = {"name": "x", "bits_per_parameter": 4.5, "kl_mean": 0.1, "kl_standard_error": 0.01, "top1_agreement": 1, "perplexity": 1}
    for path, figures in (measured, {"positions": 1, "source_perplexity": 1, "candidates": [one]}), (by_hand, [one]):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(figures, file)
    script = os.path.join(ROOT, "demo", "summary.py")
    done = subprocess.run([sys.executable, script, MODEL, as_option(name), measured, by_hand], capture_output=True, text=True,
                          cwd=shell.place, check=False)
    command = re.search(r"serve it with +(vllm (?:.|\n)*?)\n\n", done.stdout)
    check(command, "the demo prints a command", done)
    words = shell.run(command[1]).split("\0")[:-1]
    check(shell.at(words[1]) == shell.at(name) and not words[1].startswith("-"), "which names the folder", words)


def main():
    with program.folder() as temporary:
        shell = Shell(temporary)
        for name in NAMES:
            summaries(shell, name)
            demo(shell, name)
        for name in ["-a\nb $c", "it's \"here\""]:
            stopped(shell, name)
    program.finish()


main()
