"""Ways out of data that cannot be read: texts, token ids, tokenizers."""

import json
import os
import re
import shutil
import subprocess

from program import HELDOUT, MODEL, check
from ways import way

IDS = "pass token ids in a .safetensors file instead"


@way("is not a .safetensors file of token ids; `strata tokenize` makes one")
def no_token_file(case):
    logits = ["logits", MODEL, "-o", case.path("logits.safetensors"), "--tokens"]
    case.says(5, *logits, HELDOUT)
    case.works("tokenize", MODEL, "--dataset", HELDOUT, "--seqlen", "8", "--nsamples", "1", "-o", case.path("ids.safetensors"))
    case.works(*logits, case.path("ids.safetensors"))


@way("they are enough for {} such windows, or for {} of {}")
def short_data(case):
    text = case.write("text.txt", "A short text of some words, which is not long. " * 8)
    plan = ["quantize", MODEL, "--scheme", "NVFP4", "--dataset", text]
    said = case.says(5, *plan, "-o", case.path("a"), "--nsamples", "4", "--seqlen", "100")
    fewer, windows, length = re.search(r"enough for (\d+) such windows, or for (\d+) of (\d+)", said).groups()
    case.works(*plan, "-o", case.path("b"), "--nsamples", fewer, "--seqlen", "100")
    case.works(*plan, "-o", case.path("c"), "--nsamples", windows, "--seqlen", length)


@way("give more text")
def hardly_data(case):
    plan = ["quantize", MODEL, "--scheme", "NVFP4", "-o", case.path("out"), "--nsamples", "64", "--seqlen", "16", "--dataset"]
    case.says(5, *plan, case.write("text.txt", "Three small words."))
    case.works(*plan, case.write("more.txt", "Three small words. " * 2000))


@way("--seqlen {}: {} has only {} positions (max_position_embeddings)")
def long_windows(case):
    plan = ["plan", MODEL, "--scheme", "NVFP4", "--dataset", HELDOUT, "--nsamples", "1", "--seqlen"]
    said = case.says(5, *plan, "4096")
    case.works(*plan, re.search(r"has only (\d+) positions", said)[1])


def with_ids(case, model, dataset):
    """What `pass token ids` advises: they come from elsewhere, here from the whole model's tokenizer."""
    ids = case.path("ids.safetensors")
    case.works("tokenize", MODEL, "--dataset", HELDOUT, "--seqlen", "16", "--nsamples", "2", "-o", ids)
    quantize = ["quantize", model, "-o", case.path("out"), "--scheme", "NVFP4", "--nsamples", "2", "--seqlen", "16"]
    case.says(5, *quantize, "--dataset", dataset)
    case.works(*quantize, "--dataset", ids)


@way(f"is missing, so {{}} cannot be tokenized; {IDS}")
def no_tokenizer(case):
    model = shutil.copytree(MODEL, case.path("model"))
    os.remove(os.path.join(model, "tokenizer.json"))
    with_ids(case, model, HELDOUT)


def tokenizer_with(case, change):
    model = shutil.copytree(MODEL, case.path("model"))
    path = os.path.join(model, "tokenizer.json")
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    change(value)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)
    with_ids(case, model, HELDOUT)


@way(f"type {{}} is not supported, only BPE; {IDS}")
def other_model(case):
    tokenizer_with(case, lambda value: value["model"].update(type="Unigram"))


@way(f"is not known; {IDS}")
def unknown_key(case):
    tokenizer_with(case, lambda value: value["model"].update(no_such_key=1))


@way(f"but only null is supported; {IDS}")
def not_null(case):
    tokenizer_with(case, lambda value: value["model"].update(continuing_subword_prefix="##"))


@way(f"normalizer {{}} is not supported; {IDS}")
def other_normalizer(case):
    tokenizer_with(case, lambda value: value.update(normalizer={"type": "NoSuch"}))


@way(f"post-processor {{}} is not supported; {IDS}")
def other_post_processor(case):
    tokenizer_with(case, lambda value: value.update(post_processor={"type": "NoSuch"}))


@way(f"pre-tokenizer {{}} is not supported; {IDS}")
def other_pre_tokenizer(case):
    tokenizer_with(case, lambda value: value.update(pre_tokenizer={"type": "NoSuch"}))


@way('"tokenizer_class": "PreTrainedTokenizerFast" in tokenizer_config.json has it read as it is')
def class_of_another_alphabet(case):
    model = shutil.copytree(MODEL, case.path("model"))
    with open(os.path.join(model, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"tokenizer_class": "LlamaTokenizerFast"}, file)
    quantize = ["quantize", model, "-o", case.path("out"), "--scheme", "NVFP4", "--nsamples", "2", "--seqlen", "16",
                "--dataset", HELDOUT]
    case.says(5, *quantize)
    with open(os.path.join(model, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast"}, file)
    case.works(*quantize)


@way(f"at character {{}} is not supported; {IDS}")
def other_expression(case):
    split = {"type": "Split", "pattern": {"Regex": "(?<name>a)\\k<name>"}, "behavior": "Isolated", "invert": False}
    tokenizer_with(case, lambda value: value["pre_tokenizer"]["pretokenizers"].insert(0, split))


@way("make more than {} bytes of it; pass token ids instead")
def exploding_normalizer(case):
    long = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000} for _ in range(4)]
    tokenizer_with(case, lambda value: value.update(normalizer={"type": "Sequence", "normalizers": long}))


@way("convert the file, or pass token ids as .safetensors")
def not_utf8(case):
    path = case.path("text.txt")
    text = "Caf\xe9 and more. " * 100
    with open(path, "wb") as file:
        file.write(text.encode("latin-1"))
    with_ids(case, MODEL, path)
    with open(path, "wb") as file:
        file.write(text.encode("utf-8"))  # converted
    case.works("quantize", MODEL, "-o", case.path("converted"), "--scheme", "NVFP4", "--dataset", path, "--nsamples", "2",
               "--seqlen", "16")


@way("chats need Python 3.9 or later with the jinja2 package (apt-get install python3-jinja2, or pip), or use lines with "
     '"text"')
def no_python(case):
    chats = [{"messages": [{"role": "user", "content": "one two three"}]}] * 8
    lines = case.write("chats.jsonl", "".join(json.dumps(chat) + "\n" for chat in chats))
    tokenize = ["tokenize", MODEL, "-o", case.path("ids.safetensors"), "--dataset"]
    os.mkdir(case.path("bin"))
    bare = dict(os.environ, PATH=case.path("bin"))
    case.says(5, *tokenize, lines, env=bare)
    texts = case.write("texts.jsonl", "".join(json.dumps({"text": "one two three"}) + "\n" for _ in range(8)))
    case.works(*tokenize, texts, env=bare)
    if subprocess.run(["python3", "-c", "import jinja2"], capture_output=True, check=False).returncode == 0:
        case.works(*tokenize, lines, "--force")


@way("a .json holds an array of texts or of objects with text or messages, or one such object a line; name it .txt if it is prose")
def prose_in_json(case):
    tokenize = ["tokenize", MODEL, "--dataset"]
    case.says(5, *tokenize, case.write("prose.json", "one two three"), "-o", case.path("a"))
    case.works(*tokenize, case.write("prose.txt", "one two three"), "-o", case.path("b"))
    case.works(*tokenize, case.write("texts.json", ["one two", "three"]), "-o", case.path("c"))
    case.works(*tokenize, case.write("objects.json", [{"text": "one two"}, {"text": "three"}]), "-o", case.path("d"))
    case.works(*tokenize, case.write("lines.json", '{"text": "one two"}\n{"text": "three"}\n'), "-o", case.path("e"))
