"""strata clean: gives back what an unfinished run holds, by name, and touches nothing else."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

from program import HELDOUT, MODEL, PROGRAM, check, check_error, finish, folder, strata

EVENT = json.dumps({"event": "run_start", "time": "2026-01-01T00:00:00.000Z", "command": "quantize", "arguments": []}) + "\n"

with folder() as temporary:
    def at(*names):
        return os.path.join(temporary, *names)

    def write(path, bytes_=10):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x" * bytes_)

    def tree(path):
        return sorted(os.path.relpath(os.path.join(base, name), path) for base, _, names in os.walk(path) for name in names)

    def stopped_run():
        """Journal and run id of a real run that was stopped after some layers."""
        command = [PROGRAM, "quantize", MODEL, "-o", at("real"), "--scheme", "NVFP4", "--dataset", HELDOUT, "--nsamples", "64",
                   "--seqlen", "256", "--threads", "1", "-q"]
        for _ in range(10):
            run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while run.poll() is None:
                if os.path.exists(at("real.work", "journal")) and open(at("real.work", "journal"), "rb").read().count(b"\n") >= 4:
                    run.send_signal(signal.SIGINT)
                    run.wait()
                time.sleep(0.01)
            if run.returncode == 75:
                break
            shutil.rmtree(at("real"))  # it was done before the signal came
        check(run.returncode == 75, "a run is stopped half way", run.returncode)
        with open(at("real.work", "journal"), "rb") as journal, open(at("real.partial", "strata-run"), "rb") as run_id:
            return journal.read(), run_id.read()

    journal, run_id = stopped_run()
    before = strata("status", at("real.work"), "--json").json()
    check(before["state"] == "interrupted" and before["continue"], "status of a stopped run", before)
    strata("clean", at("real.work"))
    check(not os.path.exists(at("real.partial")), "what a real run left is gone")
    after = strata("status", at("real.work"), "--json").json()
    check(after["state"] == "cleaned" and after["continue"] is None, "status knows that it was cleaned", after)
    check("cleaned: " in strata("status", at("real.work")).out, "and says so")

    for name in ["tokenizer.json", "additional_chat_templates/rag.jinja"]:
        write(at("m", name))

    def make(record=True):
        """A run that was killed: caches, journal, half an output; and an older, whole output."""
        shutil.rmtree(at("o.work"), ignore_errors=True)
        for name, size in [("act/0123.sba", 1000), ("act/4567.sba.partial", 100), ("scratch/boundary", 50), ("run.json.tmp", 3),
                           ("assignment.json", 20), ("lock", 0)]:
            write(at("o.work", name), size)
        with open(at("o.work", "journal"), "wb") as file:
            file.write(journal)
        with open(at("o.work", "events.jsonl"), "w", encoding="utf-8") as file:
            file.write(EVENT)
        if record:
            with open(at("o.work", "run.json"), "w", encoding="utf-8") as file:
                json.dump({"output": at("o"), "model": at("m"), "work_directory": at("o.work")}, file)
        shutil.rmtree(at("o.partial"), ignore_errors=True)
        for name in ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json", "config.json.tmp", "tokenizer.json",
                     "additional_chat_templates/rag.jinja", "additional_chat_templates/rag.jinja.tmp"]:
            write(at("o.partial", name), 200)
        with open(at("o.partial", "strata-run"), "wb") as file:
            file.write(run_id)
        write(at("o", "model.safetensors"))
        write(at("o", "config.json"))

    # Everything that only serves to go on; records stay.
    make()
    result = strata("clean", at("o.work"))
    check(result.code == 0 and result.err == "", "clean", result)
    check(tree(at("o.work")) == ["assignment.json", "events.jsonl", "lock"], "records stay", tree(at("o.work")))
    check(not os.path.exists(at("o.partial")) and not os.path.exists(at("o.work", "act")), "half an output and caches are gone", result)
    check(tree(at("o")) == ["config.json", "model.safetensors"], "the output stays", tree(at("o")))
    for part in ["0123.sba", "journal", "model-00001-of-00002.safetensors", "kept", "events.jsonl"]:
        check(part in result.out, f"clean says what it does: {part}", result)
    again = strata("clean", at("o.work"))
    check(again.code == 0 and "0 bytes given back" in again.out, "a second time there is nothing to do", again)

    make()
    answer = strata("clean", at("o.work") + "/", "--json").json()
    sizes = {os.path.relpath(item["path"], temporary): item["bytes"] for item in answer["removed"]}
    check(sizes["o.work/act/0123.sba"] == 1000 and sizes["o.partial/config.json"] == 200, "bytes of each file", answer)
    check(answer["bytes"] == sum(sizes.values()) > 2100 and answer["unknown"] == [], "bytes of all", answer)
    check([os.path.basename(path) for path in answer["kept"]] == ["assignment.json", "events.jsonl", "lock"], "kept", answer)

    # What is not of a run stays and is named.
    make()
    strangers = ["o.work/notes.txt", "o.work/act/mine.bin", "o.partial/thesis.tex", "o.work/deep/journal"]
    for name in strangers:
        write(at(name))
    os.symlink(at("o", "config.json"), at("o.work", "act", "link.sba"))
    write(at("elsewhere", "model.safetensors"))
    os.symlink(at("elsewhere"), at("o.partial", "model.safetensors.d"))
    answer = strata("clean", at("o.work"), "--json").json()
    left = sorted(os.path.relpath(path, temporary) for path in answer["unknown"])
    check(left == sorted(["o.work/notes.txt", "o.work/act/mine.bin", "o.work/act/link.sba", "o.partial/thesis.tex", "o.work/deep",
                          "o.partial/model.safetensors.d"]), "strangers are named", left)
    check(all(os.path.exists(at(name)) for name in strangers) and os.path.exists(at("o", "config.json")), "and stay")
    check(os.path.exists(at("elsewhere", "model.safetensors")), "nothing behind a link is removed")
    check(not os.path.exists(at("o.work", "journal")), "the rest goes all the same")
    shutil.rmtree(at("o.partial"))
    os.mkdir(at("target"))
    write(at("target", "config.json"))
    make()
    shutil.rmtree(at("o.partial"))
    os.symlink(at("target"), at("o.partial"))
    check(strata("clean", at("o.work")).code == 0 and os.path.exists(at("target", "config.json")), "a link for OUT.partial is left alone")
    os.remove(at("o.partial"))

    # Without run.json nobody knows whose OUT.partial it is.
    make(record=False)
    answer = strata("clean", at("o.work"), "--json").json()
    check(answer["unknown"] == [at("o.partial")] and len(tree(at("o.partial"))) == 8, "an OUT.partial of nobody stays", answer)
    make(record=False)
    with open(at("o.work", "run.json"), "w", encoding="utf-8") as file:
        file.write('{"output": "o", "model"')
    check(strata("clean", at("o.work")).code == 0 and len(tree(at("o.partial"))) == 8, "a broken run.json names nothing")
    for output in ["o", 7, None]:
        make(record=False)
        with open(at("o.work", "run.json"), "w", encoding="utf-8") as file:
            json.dump({"output": output}, file)
        check(strata("clean", at("o.work"), cwd=temporary).code == 0 and len(tree(at("o.partial"))) == 8, f"output {output} names nothing")

    # A copy of a work folder, and a partial output that another run began meanwhile, give no right to it.
    make()
    shutil.copytree(at("o.work"), at("copy.work"))
    check(strata("clean", at("copy.work")).code == 0 and len(tree(at("o.partial"))) == 8, "a copy of a work folder cleans itself")
    with open(at("o.partial", "strata-run"), "w", encoding="utf-8") as file:
        file.write("somebody else")
    answer = strata("clean", at("o.work"), "--json").json()
    check(answer["unknown"] == [at("o.partial")] and len(tree(at("o.partial"))) == 8, "another run's output stays", answer)
    make(record=False)
    with open(at("o.work", "run.json"), "w", encoding="utf-8") as file:
        json.dump({"output": at("o") + "\0", "model": MODEL, "work_directory": at("o.work")}, file)
    check(strata("clean", at("o.work")).code == 0 and len(tree(at("o.partial"))) == 8, "a path with NUL names nothing")

    # While a run is at work.
    make()
    with open(at("o.work", "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = tree(temporary)
        check_error(strata("clean", at("o.work")), 8, "o.work")
        check(tree(temporary) == before, "nothing is removed while a run holds the folder")
    held = os.open(at("o.partial"), os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    check_error(strata("clean", at("o.work")), 8, "o.partial")
    check(os.path.exists(at("o.work", "journal")) and len(tree(at("o.partial"))) == 8, "nor while one writes the output")
    os.close(held)

    # Not a work directory.
    before = tree(temporary)
    check_error(strata("clean", at("o")), 5, at("o"), f"did you mean {at('o.work')}?")
    check_error(strata("clean", MODEL), 5, MODEL)
    check_error(strata("clean", at("missing")), 5, at("missing"))
    check_error(strata("clean", at("o", "config.json")), 5)
    check_error(strata("clean"), 2, "WORK: missing")
    check(tree(temporary) == before, "a refusal removes nothing")

    # A real run, and it can be run again afterwards.
    real = ["quantize", MODEL, "-o", at("real"), "--scheme", "KEEP", "-q"]
    check(strata(*real).code == 0 and strata("clean", at("real.work")).code == 0, "after a real run")
    check(strata("verify", at("real"), "--source", MODEL).code == 0, "its output is whole")
    check(strata(*real, "--force").code == 0, "and the same command runs again")
finish()
