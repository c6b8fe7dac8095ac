"""Ways out where a run chooses its formats within a budget."""

import re

from program import CALIBRATION, MODEL, check
from ways import way

DATA = ("--dataset", CALIBRATION, "--nsamples", "2", "--seqlen", "16")
MENU = ("--formats", "NVFP4A16,MXFP8A16,BF16")


def plan(*more):
    return ("plan", MODEL, *more)


@way("-b {:g}: needs --formats with at least two number formats to choose from")
def no_menu(case):
    case.says(2, *plan("-b", "6", *DATA))
    case.says(2, *plan("-b", "6", "--formats", "NVFP4A16", *DATA))
    case.works(*plan("-b", "6", *MENU, *DATA))


@way("-b {:g}: chooses the formats itself; leave out {}")
def scheme_beside(case):
    case.says(2, *plan("-b", "6", *MENU, *DATA, "--scheme", "NVFP4A16"))
    case.works(*plan("-b", "6", *MENU, *DATA))
    case.works(*plan("--scheme", "NVFP4A16"))


@way("-b {:g}: needs --dataset FILE, to measure what formats cost")
def no_data(case):
    case.says(2, *plan("-b", "6", *MENU))
    case.works(*plan("-b", "6", *MENU, *DATA))


@way("-b {:g}: cannot be with {}; leave one out")
def not_together(case):
    for other in (("--parity", "compressed-tensors"), ("--kv-cache", "fp8")):
        case.says(2, *plan("-b", "6", *MENU, *DATA, *other))
    case.works(*plan("-b", "6", *MENU, *DATA))


@way("--formats: needs -b BITS, the budget to choose within")
def no_budget(case):
    case.says(2, *plan("--scheme", "NVFP4A16", *MENU))
    case.works(*plan("-b", "6", *MENU, *DATA))


@way("-b {:g}: the smallest that {} give {} units is {:.3f} bits per parameter; say -b {:.3f}")
def budget_too_small(case):
    said = case.says(2, *plan("-b", "4", *MENU, *DATA))
    case.works(*plan("-b", re.search(r"say -b ([0-9.]+)", said)[1], *MENU, *DATA))


@way("-b {:g}: windows of one token say nothing of the source's perplexity; say --seqlen 2 or more")
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


@way("no token of the data reached {} of its Linears, whose formats cost nothing in the prices; more --nsamples reach more experts")
def experts_without_tokens(case):
    quantize = ["quantize", MODEL, "-b", "6", *MENU, "--dataset", CALIBRATION]
    case.says(0, *quantize, "-o", case.path("few"), "--nsamples", "1", "--seqlen", "4")
    case.works(*quantize, "-o", case.path("many"), "--nsamples", "16", "--seqlen", "128")
