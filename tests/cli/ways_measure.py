"""Ways out where a run measures what it writes, and where one is written from what another has kept."""

import fcntl
import json
import os
import shutil

import ways_budget
from checkpoint import write_ids
from program import CALIBRATION, HELDOUT, MODEL, check
from ways import way

MIXED = ("-b", "6", *ways_budget.MENU)


def quantize(case, name, *more):
    return ("quantize", *more, "-o", case.path(name))


@way("window {} has {} tokens in a row of window {} of {}: what is learnt from says little about the rest; give other text "
     "with --heldout")
def measured_on_what_was_learnt(case):
    ids, other = case.path("ids.safetensors"), case.path("other.safetensors")
    write_ids(ids, 2, 16, 1000)
    write_ids(other, 2, 17, 900)
    data = ("--dataset", ids, "--nsamples", "2", "--seqlen", "16", "--max-source-ppl", "1e9", "--allow-tail")
    case.says(5, *quantize(case, "out", MODEL, *MIXED, *data, "--heldout", ids))
    case.works(*quantize(case, "out", MODEL, *MIXED, *data, "--heldout", other))


def kept(case, *more):
    case.works(*quantize(case, "six", MODEL, *MIXED, *ways_budget.DATA, "--max-source-ppl", "1e9", *more))
    return case.path("six.work")


@way("--from {}: needs -b BITS or --target-size SIZE, the budget to choose within, or --assignment FILE")
def from_without_budget(case):
    work = kept(case)
    case.says(2, *quantize(case, "five", "--from", work))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))


def edited(case, work, **formats):
    """assignment.json of a run, with other formats for the Linears of layer 0 that are named; None leaves one out."""
    with open(os.path.join(work, "assignment.json"), encoding="utf-8") as file:
        assignment = json.load(file)
    for name, form in formats.items():
        module = name if name == "lm_head" else f"model.layers.0.self_attn.{name}"
        assignment["linears"][module] = {"format": form}
        if form is None:
            del assignment["linears"][module]
    return case.write("edited.json", assignment)


@way("--from {}: {} chooses what --assignment has chosen already; leave one out")
def from_with_both(case):
    work = kept(case)
    file = edited(case, work)
    case.says(2, *quantize(case, "five", "--from", work, "-b", "5", "--assignment", file))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))
    case.works(*quantize(case, "edited", "--from", work, "--assignment", file))


@way("{}: {} cannot be {}: the run that priced it chose between {}; give one of these, or price again with --formats")
def edit_outside_the_menu(case):
    work = kept(case)
    case.says(5, "allocate", work, "--assignment", edited(case, work, o_proj="FP8_DYNAMIC"))
    case.says(5, *quantize(case, "five", "--from", work, "--assignment", edited(case, work, o_proj="FP8_DYNAMIC")))
    case.works(*quantize(case, "five", "--from", work, "--assignment", edited(case, work, o_proj="NVFP4A16")))


@way("{}: {} is {} in the run that priced it ({}), not {}; give it that, or price again")
def edit_of_what_is_fixed(case):
    work = kept(case)
    case.says(5, "allocate", work, "--assignment", edited(case, work, lm_head="NVFP4A16"))
    case.works("allocate", work, "--assignment", edited(case, work, lm_head="KEEP"))


@way("{}: leaves out {} Linears that are chosen for ({} is the first); edit a copy of assignment.json, which names all")
def edit_that_leaves_out(case):
    work = kept(case)
    case.says(5, "allocate", work, "--assignment", edited(case, work, q_proj=None))
    case.works("allocate", work, "--assignment", edited(case, work))


@way("--assignment {}: is what -o would write; leave -o out")
def edit_with_output(case):
    work = kept(case)
    file = edited(case, work)
    case.says(2, "allocate", work, "--assignment", file, "-o", case.path("a.json"))
    case.works("allocate", work, "--assignment", file)


@way("--from {}: there is no such folder; name the work folder of a run with -b, such as OUT.work")
def from_nowhere(case):
    case.says(2, *quantize(case, "five", "--from", case.path("nowhere"), "-b", "5"))
    case.works(*quantize(case, "five", "--from", kept(case), "-b", "5"))


@way("--from {}: a run works there just now; wait for its end, or stop it")
def from_a_run_under_way(case):
    work = kept(case)
    with open(os.path.join(work, "lock"), "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        case.says(2, *quantize(case, "five", "--from", work, "-b", "5"))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))


@way("{}: {} in {} takes {} bytes, not {}; it was changed: run again with -b, without --from")
def from_prices_that_were_changed(case):
    work = kept(case)
    path = os.path.join(work, "prices.json")
    with open(path, encoding="utf-8") as file:
        prices = json.load(file)
    for option in prices["units"][0]["options"]:
        option["bytes"] += 16
    with open(path, "w", encoding="utf-8") as file:
        json.dump(prices, file)
    case.says(7, *quantize(case, "five", "--from", work, "-b", "5"))
    case.works(*quantize(case, "anew", MODEL, *ways_budget.MENU, *ways_budget.DATA, "-b", "5", "--max-source-ppl", "1e9"))


@way("--from {}: its menu and patterns are those of the run that it is of; leave out {}")
def from_with_a_menu(case):
    work = kept(case)
    for other in (("--scheme", "NVFP4A16"), ("--formats", "NVFP4A16,BF16"), ("--ignore", "*"), ("--override", "*=BF16"),
                  ("--tp", "2"), ("--runtime", "transformers")):
        case.says(2, *quantize(case, "five", "--from", work, "-b", "5", *other))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))


@way("--from {}: runs no text through the model; leave out {}, and measure with strata eval")
def from_with_data(case):
    work = kept(case)
    for other in (("--dataset", CALIBRATION), ("--heldout", CALIBRATION), ("--nsamples", "4"), ("--probes", "2"), ("--store", "all")):
        case.says(2, *quantize(case, "five", "--from", work, "-b", "5", *other))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))
    case.works("eval", case.path("five"), "--against", MODEL, "--dataset", CALIBRATION, "--max-tokens", "256")


@way("--method {}: {} was encoded by {}; leave it out")
def from_by_another_method(case):
    work = kept(case)
    case.says(2, *quantize(case, "five", "--from", work, "-b", "5", "--method", "rtn"))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))


@way("its prices are of another source than {}, or that was changed since; give the folder that they were made from")
def from_for_another_model(case):
    work, copy = kept(case), case.path("copy")
    shutil.copytree(MODEL, copy)
    os.utime(os.path.join(copy, next(name for name in os.listdir(copy) if name.endswith(".safetensors"))))
    case.says(7, *quantize(case, "five", copy, "--from", work, "-b", "5"))
    case.works(*quantize(case, "five", MODEL, "--from", work, "-b", "5"))


@way("has not kept what {} in {} needs ({}); run it again with -b and --store auto or all")
def from_what_is_gone(case):
    work = kept(case, "--store", "none")
    case.says(5, *quantize(case, "five", "--from", work, "-b", "5"))
    shutil.rmtree(case.path("six"))
    shutil.rmtree(work)
    kept(case, "--store", "auto")
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))


@way("what {} holds of it is not what was written there; run again with -b, without --from")
def from_what_is_damaged(case):
    work = kept(case, "--store", "all")
    for name in os.listdir(os.path.join(work, "renders")):
        with open(os.path.join(work, "renders", name), "r+b") as file:
            start = bytearray(file.read(65536))
            size = os.fstat(file.fileno()).st_size
            end = min(len(start), size // 4)
            start[:end] = bytes(letter ^ 4 for letter in start[:end])
            file.seek(0)
            file.write(start)
    case.says(5, *quantize(case, "five", "--from", work, "-b", "5"))
    check(not os.path.exists(case.path("five")), "no output appears")
    case.works(*quantize(case, "five", MODEL, "-b", "5", *ways_budget.MENU, *ways_budget.DATA, "--max-source-ppl", "1e9",
                         "-w", case.path("other.work"), "--resume", "never"))


@way("--heldout: measures what -b chooses; leave it out, and measure the output with strata eval")
def heldout_without_budget(case):
    scheme = ("--scheme", "NVFP4A16")
    case.says(2, *quantize(case, "out", MODEL, *scheme, "--heldout", CALIBRATION))
    case.works(*quantize(case, "out", MODEL, *scheme))
    case.works("eval", case.path("out"), "--against", MODEL, "--dataset", CALIBRATION, "--max-tokens", "256")


@way("--heldout: does not measure a head in {} yet; leave out --heldout, or what makes {} so")
def heldout_of_a_head(case):
    mixed = ("plan", MODEL, *MIXED, *ways_budget.DATA)
    head = ("--override", "lm_head=NVFP4A16")
    case.says(2, *mixed, *head, "--heldout", CALIBRATION)
    case.works(*mixed, *head)
    case.works(*mixed, "--heldout", CALIBRATION)


@way("--from {}: is the work folder of this run too; name another one with -w")
def from_itself(case):
    work = kept(case)
    case.says(2, *quantize(case, "five", "--from", work, "-b", "5", "-w", work))
    case.works(*quantize(case, "five", "--from", work, "-b", "5", "-w", case.path("other.work")))


FEW = ("--nsamples", "2", "--seqlen", "16", "--max-source-ppl", "1e9", "--allow-tail")
RANGE = ("--pareto", "6:8:1", *ways_budget.MENU)


@way("--pareto {}: needs --heldout FILE, to measure what the budgets give; strata allocate WORK --pareto predicts it after a run "
     "with -b")
def pareto_without_text(case):
    data = ("--dataset", CALIBRATION, *FEW)
    case.says(2, *quantize(case, "out", MODEL, *RANGE, *data))
    case.works(*quantize(case, "out", MODEL, *RANGE, *data, "--heldout", HELDOUT, "--heldout-tokens", "1536"))
    case.works("allocate", kept(case), "--pareto", "6:8:1")


@way("{}: has {} windows of {} tokens, but {} chooses, confirms and tells by two each: {} are needed; give more text or more "
     "--heldout-tokens, or {}")
def pareto_on_few_windows(case):
    few = (*RANGE, "--dataset", CALIBRATION, *FEW, "--heldout", HELDOUT, "--heldout-tokens")
    case.says(5, *quantize(case, "out", MODEL, *few, "1280"))
    case.works(*quantize(case, "out", MODEL, *few, "1536"))
    case.works(*quantize(case, "other", MODEL, *few, "1280", "-b", "6"))


@way("--from {}: writes one budget; leave out --pareto, and see strata allocate WORK --pareto")
def from_for_many_budgets(case):
    work = kept(case)
    case.says(2, *quantize(case, "five", "--from", work, "-b", "5", "--pareto", "5:6:1"))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))
    case.works("allocate", work, "--pareto", "5:6:1")


POLISH = ("-b", "6", "--polish", "2", *ways_budget.MENU, "--dataset", CALIBRATION, *FEW)


@way("--polish {}: needs --heldout FILE, to measure what exchanges give")
def polish_without_text(case):
    case.says(2, *quantize(case, "out", MODEL, *POLISH))
    case.works(*quantize(case, "out", MODEL, *POLISH, "--heldout", HELDOUT, "--heldout-tokens", "1536"))


@way("leave --polish out")
def polish_on_few_windows(case):
    few = ("--heldout", HELDOUT, "--heldout-tokens", "1280")
    case.says(5, *quantize(case, "out", MODEL, *POLISH, *few))
    case.works(*quantize(case, "out", MODEL, "-b", "6", *POLISH[4:], *few))


@way("--polish {}: changes the choice of one budget; say -b, and leave --pareto out")
def polish_of_many(case):
    text = ("--heldout", HELDOUT, "--heldout-tokens", "1536")
    case.says(2, *quantize(case, "out", MODEL, *POLISH, *text, "--pareto", "5:6:1"))
    case.works(*quantize(case, "out", MODEL, *POLISH, *text))
