"""Several processes write one output, each some of the layers: the bytes of one, however they come and go."""

import os
import shutil
import subprocess

from program import CALIBRATION, MODEL, PROGRAM, check, finish, folder, strata


def files_of(place):
    found = {}
    for name in sorted(os.listdir(place)):
        with open(os.path.join(place, name), "rb") as file:
            found[name] = file.read()
    return found


def command(out, share, *more):
    return ["quantize", MODEL, "-o", out, "--scheme", "W4A16", "--share", share, *more]


with folder() as place:
    alone = os.path.join(place, "alone")
    check(strata("quantize", MODEL, "-o", alone, "--scheme", "W4A16").code == 0, "one process")
    expected = files_of(alone)

    # One after the other: the last one publishes.
    out = os.path.join(place, "in-turn")
    first = strata(*command(out, "1/2"))
    check(first.code == 0 and "appears when the others are done" in first.err, "the first says who is missing", first)
    check(not os.path.exists(out), "no output yet")
    again = strata(*command(out, "1/2"))
    check(again.code == 0 and not os.path.exists(out), "the same again changes nothing", again)
    second = strata(*command(out, "2/2"))
    check(second.code == 0 and files_of(out) == expected, "the second completes it, byte for byte", second)
    check(not any(name.startswith("in-turn.partial") for name in os.listdir(place)), "nothing is left beside it", os.listdir(place))
    first = strata(*command(out, "1/2"))
    check(first.code == 0 and "was complete already" in first.err, "the first knows that it is done", first)
    refused = strata(*command(out, "1/2"))
    check(refused.code == 2 and "exists already" in refused.err, "then it is there", refused)

    # At the same time, three of them.
    for attempt in range(3):
        out = os.path.join(place, f"together-{attempt}")
        started = [subprocess.Popen([PROGRAM, *command(out, f"{k}/3")], stderr=subprocess.PIPE, text=True) for k in (1, 2, 3)]
        ended = [(process.communicate()[1], process.returncode) for process in started]
        check(all(code == 0 for _, code in ended), "three at once end well", ended)
        check(os.path.exists(out) and files_of(out) == expected, "and give the bytes of one", ended)

    # One that is stopped goes on; the bytes stay those.
    out = os.path.join(place, "stopped")
    strata(*command(out, "2/2"))
    stopped = strata(*command(out, "1/2", "--deadline", "0.001s"))
    check(stopped.code == 75, "stopped in time", stopped)
    done = strata(*command(out, "1/2"))
    check(done.code == 0 and files_of(out) == expected, "goes on to the same bytes", done)

    # What they share goes with the last of them.
    out = os.path.join(place, "cleaned")
    for part in ("1/3", "2/3"):
        strata(*command(out, part))
    kept = strata("clean", out + ".work.1-of-3")
    check(kept.code == 0 and os.path.exists(out + ".partial"), "another one's layers stay", kept)
    check(strata("clean", out + ".work.2-of-3").code == 0 and not os.path.exists(out + ".partial"), "the last one clears up")
    check(not any(name.startswith("cleaned.partial") for name in os.listdir(place)), "all of it", os.listdir(place))

    # Another question does not mix with what is there.
    out = os.path.join(place, "mixed")
    strata(*command(out, "1/2"))
    other = strata("quantize", MODEL, "-o", out, "--scheme", "NVFP4A16", "--share", "2/2")
    check(other.code == 7 and "began another run: --scheme" in other.err, "layers of another scheme are not thrown away", other)
    other = strata("quantize", MODEL, "-o", out, "--scheme", "NVFP4A16", "--share", "2/2", "--resume", "never")
    check(other.code == 0 and not os.path.exists(out), "unless told to; nor are they taken for its own", other)
    late = strata(*command(out, "2/2", "--resume", "never"))
    check(late.code == 0 and not os.path.exists(out), "nor a journal whose bytes are gone", late)
    last = strata(*command(out, "1/2"))
    check(last.code == 0 and files_of(out) == expected, "they are written again", last)

    # A run alone does not throw away what others share.
    out = os.path.join(place, "alone-too")
    strata(*command(out, "1/2"))
    refused = strata("quantize", MODEL, "-o", out, "--scheme", "W4A16")
    check(refused.code == 7 and "holds layers of a --share that is not done" in refused.err, "a run alone is refused", refused)
    done = strata("quantize", MODEL, "-o", out, "--scheme", "W4A16", "--resume", "never")
    check(done.code == 0 and files_of(out) == expected, "unless told to throw them away", done)
    check(not any(name.startswith("alone-too.partial") for name in os.listdir(place)), "nothing is left beside it", os.listdir(place))

    force = strata(*command(os.path.join(place, "forced"), "1/2", "--force"))
    check(force.code == 2 and "--share: does not go with --force" in force.err, "not with --force", force)

    # Bytes that are gone are written again, though a journal has them: here by an edit that only the whole run knows of.
    model = os.path.join(place, "model")
    shutil.copytree(MODEL, model)
    out = os.path.join(place, "edited")
    shared = ["quantize", model, "-o", out, "--scheme", "W4A16", "--share"]
    strata(*shared, "1/2")
    with open(os.path.join(model, "generation_config.json"), "w", encoding="utf-8") as file:
        file.write("{}")
    strata(*shared, "2/2", "--resume", "never")
    check(not os.path.exists(out), "the folder was begun anew, and the first has nothing there")
    strata(*shared, "1/2")
    whole = {name: text for name, text in files_of(out).items() if name.endswith(".safetensors")}
    check(whole == {name: text for name, text in expected.items() if name.endswith(".safetensors")}, "both are there in the end")

    # What others left is looked at before it becomes the output.
    small = ["--shard-size", "400KB"]
    strata(*command(os.path.join(place, "whole"), "1/1", *small))
    for damage in ("gone", "empty"):
        out = os.path.join(place, "index-" + damage)
        strata(*command(out, "1/2", *small))
        index = out + ".partial/model.safetensors.index.json"
        os.remove(index) if damage == "gone" else open(index, "wb").close()
        last = strata(*command(out, "2/2", *small))
        check(last.code == 0 and files_of(out) == files_of(os.path.join(place, "whole")), f"an index that is {damage} is written again", last)

    # Others' files of that name stay.
    out = os.path.join(place, "precious")
    with open(out + ".partial.setup", "w", encoding="utf-8") as file:
        file.write("precious")
    refused = strata(*command(out, "1/2"))
    check(refused.code == 2 and "is not ours" in refused.err and os.path.getsize(out + ".partial.setup") == 8, "it is not taken for a lock", refused)

    data = strata(*command(os.path.join(place, "data"), "1/2"), "--dataset", CALIBRATION, "--nsamples", "2", "--seqlen", "32")
    check(data.code == 2 and "--share: a run that learns" in data.err, "not with data", data)
    for wrong in ("0/2", "3/2", "1", "a/b", "1/0"):
        check(strata(*command(os.path.join(place, "wrong"), wrong)).code == 2, f"--share {wrong} is refused")
finish()
