"""Ways out where a run chooses its formats within a budget."""

import json
import os
import re

from program import CALIBRATION, HELDOUT, MODEL, check
from ways import way

DATA = ("--dataset", CALIBRATION, "--nsamples", "2", "--seqlen", "16")
MENU = ("--formats", "NVFP4A16,MXFP8A16,BF16")


def plan(*more):
    return ("plan", MODEL, *more)


@way("{}: needs --formats with at least two number formats to choose from")
def no_menu(case):
    case.says(2, *plan("-b", "6", *DATA))
    case.says(2, *plan("-b", "6", "--formats", "NVFP4A16", *DATA))
    case.works(*plan("-b", "6", *MENU, *DATA))


@way("{}: chooses the formats itself; leave out {}")
def scheme_beside(case):
    case.says(2, *plan("-b", "6", *MENU, *DATA, "--scheme", "NVFP4A16"))
    case.works(*plan("-b", "6", *MENU, *DATA))
    case.works(*plan("--scheme", "NVFP4A16"))


@way("{}: needs --dataset FILE, to measure what formats cost")
def no_data(case):
    case.says(2, *plan("-b", "6", *MENU))
    case.works(*plan("-b", "6", *MENU, *DATA))


@way("{}: cannot be with {}; leave one out")
def not_together(case):
    for other in (("--parity", "compressed-tensors"), ("--kv-cache", "fp8")):
        case.says(2, *plan("-b", "6", *MENU, *DATA, *other))
    case.works(*plan("-b", "6", *MENU, *DATA))


@way("{}: needs -b BITS or --target-size SIZE, the budget to choose within")
def no_budget(case):
    case.says(2, *plan("--scheme", "NVFP4A16", "--risk", "1"))
    case.says(2, *plan("--scheme", "NVFP4A16", *MENU))
    case.says(2, *plan("--scheme", "NVFP4A16", "--tp", "2"))
    case.says(2, *plan("--scheme", "NVFP4A16", "--runtime", "transformers"))
    case.works(*plan("-b", "6", *MENU, *DATA))
    case.works(*plan("--target-size", "4MB", *MENU, *DATA))


@way("{}: cannot be with -b {:g}, which is a budget too; leave one out")
def two_budgets(case):
    case.says(2, *plan("-b", "6", "--target-size", "4MB", *MENU, *DATA))
    case.works(*plan("-b", "6", *MENU, *DATA))
    case.works(*plan("--target-size", "4MB", *MENU, *DATA))


@way("{}: the smallest that {} give is {} bytes of tensors, {} of them for {} units, most for {}, and {} for what is not chosen; "
     "say --target-size {}")
def size_too_small(case):
    said = case.says(2, *plan("--target-size", "1MB", *MENU, *DATA))
    case.works(*plan("--target-size", re.search(r"say --target-size ([0-9]+)", said)[1], *MENU, *DATA))


@way("{}: the smallest that {} give {} units is {:.3f} bits per parameter, most bytes for {}; say {} {:.3f}")
def budget_too_small(case):
    said = case.says(2, *plan("-b", "4", *MENU, *DATA))
    case.works(*plan("-b", re.search(r"say -b ([0-9.]+)", said)[1], *MENU, *DATA))
    held_out = ("--heldout", HELDOUT)
    said = case.says(2, *plan("--pareto", "4:6:1", *MENU, *DATA, *held_out))
    case.works(*plan("--pareto", re.search(r"say a LOW of ([0-9.]+)", said)[1] + ":6:1", *MENU, *DATA, *held_out))


@way("{}: windows of one token say nothing of the source's perplexity; say --seqlen 2 or more")
def windows_too_short(case):
    case.says(2, *plan("-b", "6", *MENU, *DATA[:4], "--seqlen", "1"))
    case.works(*plan("-b", "6", *MENU, *DATA[:4], "--seqlen", "2"))


# The demo knows its text, and nothing of ids at random; with the limit that is named the same folder goes on.
@way("{}: its own perplexity on {} is {:.6g}, above the limit of {:.6g}: the text is in another language or format than the model's, "
     "the tokenizer is another model's, or the source is broken; give another --dataset, or say --max-source-ppl {}")
def source_that_does_not_know_the_text(case):
    quantize = ["quantize", MODEL, "-b", "6", *MENU, "--nsamples", "4", "--seqlen", "32", "-o"]
    strange = ("--dataset", case.ids(4, 32))
    said = case.says(5, *quantize, case.path("out"), *strange)
    told = case.works(*quantize, case.path("other"), "--dataset", CALIBRATION)
    check(re.search(r"source: perplexity [0-9.]+ on the calibration text \(limit 256\)", told), "the perplexity is always told", told)
    limit = re.search(r"--max-source-ppl (\d+)", said)[1]
    case.works(*quantize, case.path("out"), *strange, "--max-source-ppl", limit)


@way("--formats {}: none of the Linears of {} can be stored in two of them; add others, or --ignore less")
def nothing_to_choose(case):
    case.says(2, *plan("-b", "6", *MENU, *DATA, "--ignore", "*"))
    case.works(*plan("-b", "6", *MENU, *DATA, "--ignore", "*.o_proj"))


@way("{} [{}, {}]: no number format of the menu is legal for it ({}); add BF16 to --formats, or say {}")
def no_legal_format(case):
    copies = ("-b", "9", "--formats", "FP8_SOURCE,FP8_SOURCE_STATIC", *DATA)  # the source is BF16
    ignore = re.search(r"or say (--ignore .*)", case.says(2, *plan(*copies)))[1]
    check(ignore.startswith("--ignore model.layers.0.self_attn.q_proj "), "all of the unit", ignore)
    told = case.works(*plan("-b", "9", "--formats", "FP8_SOURCE,nvfp4a16,bf16", *DATA))
    check("FP8_SOURCE: is not legal for 12 of 12 units" in told, "said once", told)


@way("{} [{}, {}]: no number format of the menu is legal for it with --tp {} ({}); the largest that works is --tp {}")
def too_many_devices(case):
    asked = ("-b", "6", *MENU, *DATA, "--tp")
    largest = re.search(r"the largest that works is --tp (\d+)", case.says(2, *plan(*asked, "8")))[1]
    check(largest == "4", "its attention has 4 heads", largest)
    told = case.works(*plan(*asked, largest))
    check("tensor parallel  1, 2, 4 (not 8: model.layers.0.self_attn.q_proj" in told, "plan names the sizes", told)


@way("--per-expert: no released runtime loads experts of one layer in several formats; --allow-unservable writes them all the same")
def a_format_for_each_expert(case):
    each = ("-b", "6", *MENU, *DATA, "--per-expert")
    case.says(2, *plan(*each))
    told = case.works(*plan(*each, "--allow-unservable"))
    check("40 that share a format each" in told, "two units of attention and 8 experts in each of 4 layers", told)


ONE_FOR_EXPERTS = ("-b", "6", "--runtime", "transformers", "--formats", "MXFP4A16,BF16", *DATA)


@way("--polish: exchanges single units, but with --runtime transformers all experts have one format; leave one out")
def exchanges_of_what_is_tied(case):
    asked = (*ONE_FOR_EXPERTS, "--heldout", HELDOUT, "--polish", "2")
    case.says(2, *plan(*asked))
    case.works(*plan(*(word for word in asked if word not in ("--runtime", "transformers")), "--allow-unservable"))
    case.works(*plan(*asked[:-2]))


@way("with --runtime transformers all experts have one format, give all one")
def experts_edited_apart(case):
    case.works("quantize", MODEL, "-o", case.path("tied"), *ONE_FOR_EXPERTS, "--max-source-ppl", "1e9")
    with open(case.path("tied.work", "assignment.json"), encoding="utf-8") as file:
        assignment = json.load(file)
    other = "BF16" if assignment["linears"]["model.layers.0.mlp.experts.0.gate_proj"]["format"] == "MXFP4A16" else "MXFP4A16"
    for some in ("model.layers.0.mlp.experts.", ".mlp.experts."):
        for name, linear in assignment["linears"].items():
            if some in name:
                linear["format"] = other
        edited = case.write("edited.json", assignment)
        if some.startswith("model"):
            case.says(5, "allocate", case.path("tied.work"), "--assignment", edited)
    case.works("allocate", case.path("tied.work"), "--assignment", edited)


@way("--runtime transformers: loads experts of one format alone, and {} leaves some of them out; name those of all layers there, or none")
def some_experts_kept(case):
    case.says(2, *plan(*ONE_FOR_EXPERTS, "--ignore", "*layers.0.mlp.experts.*"))
    case.works(*plan(*ONE_FOR_EXPERTS, "--ignore", "*mlp.experts.*"))
    case.works(*plan(*ONE_FOR_EXPERTS))


@way("no token of the data reached {} ({} Linears), of which prices know nothing; more --nsamples reach more experts")
def experts_without_tokens(case):
    quantize = ["quantize", MODEL, "-b", "6", *MENU, "--dataset", CALIBRATION]
    case.says(0, *quantize, "-o", case.path("few"), "--nsamples", "1", "--seqlen", "4")
    case.works(*quantize, "-o", case.path("many"), "--nsamples", "16", "--seqlen", "128")


def priced(case):
    """The work directory of a run with a budget, made once."""
    if not os.path.exists(case.path("priced.work")):
        case.works("quantize", MODEL, "-o", case.path("priced"), "-b", "6", *MENU, *DATA)
    return case.path("priced.work")


@way("--risk {:g}: the prices of {} have no standard error, as they come from {} window; give more (--nsamples 2), or leave "
     "--risk out")
def risk_of_one_window(case):
    quantize = ["quantize", MODEL, "-b", "6", *MENU, "--dataset", CALIBRATION, "--seqlen", "16"]
    case.says(5, *quantize, "-o", case.path("one"), "--nsamples", "1", "--risk", "1")
    case.works(*quantize, "-o", case.path("two"), "--nsamples", "2", "--risk", "1")
    case.works(*quantize, "-o", case.path("none"), "--nsamples", "1")


@way("{} windows are too few: prices of units with {:.1f} % of the bytes ({} of {}) have standard errors above {:.0f} % of themselves; "
     "--nsamples {} would do")
def few_windows(case):
    quantize = ["quantize", MODEL, "-b", "6", *MENU, "--dataset", CALIBRATION, "--seqlen", "64"]
    said = case.says(0, *quantize, "-o", case.path("few"), "--nsamples", "2")
    case.says(5, *quantize, "-o", case.path("few-strict"), "--nsamples", "2", "--strict")
    # So far as two windows know: what they name is where to begin.
    case.works(*quantize, "-o", case.path("more"), "--nsamples", str(8 * int(re.search(r"--nsamples ([0-9]+) would", said)[1])))


@way("{}: '{}' has more than {} budgets; use a larger step")
def tiny_steps(case):
    case.says(2, "allocate", priced(case), "--pareto", "5:6:0.0001")
    case.works("allocate", priced(case), "--pareto", "5:6:0.01")


@way("not written; -o FILE writes one")
def no_file(case):
    case.says(0, "allocate", priced(case), "-b", "5")
    case.works("allocate", priced(case), "-b", "5", "-o", case.path("a.json"))


@way("strata allocate: say one of -b BITS, --target-size SIZE, --pareto LOW:HIGH:STEP and --assignment FILE, not {}")
def one_budget(case):
    case.says(2, "allocate", priced(case))
    case.says(2, "allocate", priced(case), "-b", "5", "--target-size", "2MB")
    for budget in (["-b", "5"], ["--target-size", "2MB"], ["--pareto", "5:6:0.5"]):
        case.works("allocate", priced(case), *budget)
