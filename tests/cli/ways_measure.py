"""Ways out where a run measures what it writes, and where one is written from what another has kept."""

import os
import shutil

import ways_budget
from checkpoint import write_ids
from program import CALIBRATION, MODEL, check
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


@way("--from {}: needs -b BITS or --target-size SIZE, the budget to choose within")
def from_without_budget(case):
    work = kept(case)
    case.says(2, *quantize(case, "five", "--from", work))
    case.works(*quantize(case, "five", "--from", work, "-b", "5"))


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
    for other in (("--dataset", CALIBRATION), ("--heldout", CALIBRATION)):
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
