"""Every way out that a message names is tried: the message is provoked, what it says is done, and that works. A message of
the sources that names an option, a command or something to do has a row in ways_*.py, or stands below with the reason."""

import concurrent.futures
import os
import sys
import traceback

import ways_budget  # noqa: F401 (the rows)
import ways_data  # noqa: F401 (the rows)
import ways_measure  # noqa: F401
import ways_input  # noqa: F401
import ways_run  # noqa: F401
import ways_usage  # noqa: F401
import ways_verify  # noqa: F401
from program import check, finish, folder
from ways import WAYS, Case, messages, messages_in_sources

# Words of messages that no row does, and why.
OTHERWISE = {
    "--ignore '{}*'": "done in the rows of '{} keeps it'",
    "{}--ignore {}": "done in the rows of '{} keeps it'",
    "write buffers": "says who holds memory",
    "--io auto": "says what a run takes by itself",
    "allowed by --max-memory": "says what was asked",
    "stopped by --deadline": "says what was asked",
    "which ends after the --deadline": "the command line says how to go on",
    "strata verify {} --source {}": "paste_test.py runs it",
    "strata eval {} --against {} --dataset FILE": "paste_test.py runs it",
    "strata quantize MODEL -o OUT --dataset FILE --assignment {}": "allocate_test.py does it",
    "strata quantize --from {} -o OUT --assignment {}": "allocate_test.py does it",
    "data: needs --dataset": "explains a column",
    "--resume require, but there is nothing to go on from": "says what was asked",
    "{}: --resume require, but {}": "says what was asked",
    "give the evaluation text with --dataset FILE or token ids with --tokens": "the command line says it first",
    "and no format of the menu is legal for those of all layers; add BF16 to --formats": "needs experts of several widths",
    "--kv-cache fp8: stores scales of keys and values and needs --dataset": "the command line says it first",
    "save the model again with transformers' save_pretrained": "needs transformers; tests/oracle reads such folders",
    "is an adapter, not a model; merge it into its base model first": "needs peft",
    "they are served as one ({}), give them the same scheme": "an assignment says it first, with its own row",
    "convert it to compressed-tensors (docs/checkpoints.md has the lines)": "tests/oracle/changed_first_test.py",
    "give the checkpoint that it was made from": "needs the tool that made it",
    "rename them (docs/checkpoints.md has the lines)": "tests/oracle/changed_first_test.py",
    "load it with transformers' AutoModelForCausalLM and save it again": "tests/oracle/changed_first_test.py",
    "which is what `weights only` and --activations none compute": "explains a figure",
    "says how inputs are served, and --activations is none": "says what was asked",
    "--io pread works everywhere": "needs a kernel without io_uring",
    "leave {} out of --formats, or {} keeps it": "needs an option that is too large for float32 where the source is not",
    "hidden states need {}, but {} are free; -w on another disk helps": "needs two disks, one of them nearly full",
    "end other programs, or use a machine that has more": "needs another machine",
    "fewer tokens (--max-tokens) need less": "needs a machine with little memory",
    "(--dataset, or what is taken of it)": "says what a hash is of",
    "or take it with --allow-tail: the same command goes on": "measured_test.cc",
    "is not what this run wrote there; --resume never measures again": "needs a work folder that others write in",
    "; budgets are not compared then: give more data, or keep them with --ignore": "needs --per-expert and an expert that no token reaches",
    "or take one with --allow-tail: the same command goes on": "point_choice_test.cc",
    "is not what this run wrote there; --resume never prices again": "needs a work folder that others write in",
    "take more than --heldout-tokens {}; give rows of one length": "rows of token files have one length unless another tool writes lengths",
    "--share: does not go with --force": "share_test.py",
    "holds what a strata eval or logits that was stopped goes on from; name another folder": "forward_run_test.cc",
    "holds layers of a --share that is not done; finish that, `strata clean` its": "share_test.py",
    "is not ours, but processes that share an output lock a file of that name; rename it": "share_test.py",
    "another -w FOLDER starts over, and so does this one when it is removed": "says how to get rid of a journal of another version",
    "with -w FOLDER the same command would go on there": "forward_run_test.cc goes on from such a folder",
    "--share: a run that learns from --dataset goes through every layer": "share_test.py",
    "free some, and the same command goes on where this stopped": "needs a machine whose memory runs out",
    "raise the limit of this one (ulimit -v)": "needs a system that refuses memory at the right moment",
    "fewer --threads or shorter windows need less": "needs a system that refuses memory in the middle of a run",
    "give more samples (--nsamples) or another --dataset": "all experts of a layer share a scale: no run leaves it without",
    "pass token ids in a .safetensors": "done in the rows of what tokenizer.json may hold",
    "name it in tokenizer.json with its id in the vocabulary": "tests/oracle/tokenizer_folders_test.py",
    "is a link to something that is not there; make that folder, or choose another": "run_test.cc",
    "does not generate text (0.32); add": "needs vLLM; the finding itself is in verify_foreign_test.cc",
    "without --parity it is not, and {} keeps it": "tests/property/engine_agreement_test.cc draws such weights",
    "is tied to the embedding, but transformers finds {}; name it in ignore": "verify_broken_targets_test.cc",
}


def every_message_has_a_row():
    known = [words for words, _ in WAYS]
    for place, text in messages():
        check(any(words in text for words in [*known, *OTHERWISE]),
              f"{place}: a message that names a way out has a row in tests/cli/ways_*.py", text)
    texts = [text for _, text, _ in messages_in_sources()]
    for words in [*known, *OTHERWISE]:
        check(any(words in text for text in texts), "the words of a row stand in a source", words)


def run(words, function, place):
    case = Case(words, place)
    os.mkdir(place)
    try:
        function(case)
    except Exception:  # the other rows still tell something
        check(False, f"the row of '{words}' runs", traceback.format_exc())


def main():
    every_message_has_a_row()
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    with folder() as temporary, concurrent.futures.ThreadPoolExecutor(2) as pool:
        rows = [pool.submit(run, words, function, os.path.join(temporary, str(i)))
                for i, (words, function) in enumerate(WAYS) if wanted in words or wanted == function.__name__]
        for row in rows:
            row.result()
    print(f"{len(rows)} rows")
    finish()


main()
