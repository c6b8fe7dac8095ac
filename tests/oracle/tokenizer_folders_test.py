"""Ids of `strata tokenize` on a model's folder against transformers' AutoTokenizer, for every file and key that may declare
a token or change a rule: the same ids, or a refusal with its reason. Usage: tokenizer_folders_test.py STRATA"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer
    from transformers.models.auto import tokenization_auto as auto

    import tokenizer_zoo
except ImportError as missing:
    print(f"SKIPPED: {missing}; scripts/setup.sh --oracle installs it")
    sys.exit(77)

STRATA = sys.argv[1]
ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT.parent / "shared/fixtures"
SCRATCH = Path(tempfile.mkdtemp())
BLANK = "\u2581"
failures = []


def fail(name, *what):
    failures.append(name)
    print(f"FAILED {name}:", *what)


def token(content, **flags):
    return dict(dict(content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True), **flags)


def typed(content, **flags):
    return dict(token(content, **flags), __type="AddedToken")


def folder_of(name, source, files):
    """A copy of the tokenizer's own files of `source` with those of `files` instead: name to object, None removes one."""
    folder = SCRATCH / name.replace("/", "-").replace(" ", "_")
    folder.mkdir()
    for part in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        content = json.loads((source / part).read_text(encoding="utf-8")) if (source / part).is_file() else None
        change = files.get(part.removesuffix(".json"), lambda old: old)
        content = change(content) if callable(change) else change
        if content is not None:
            (folder / part).write_text(json.dumps(content), encoding="utf-8")
    return folder


def settings(**keys):
    """Changes keys of tokenizer_config.json; ... removes one."""
    def change(old):
        new = {**(old or {}), **keys}
        return {key: value for key, value in new.items() if value is not ...}
    return change


def tokenize(folder, texts, *flags):
    dataset, out = SCRATCH / "texts.jsonl", SCRATCH / "ids.safetensors"
    dataset.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    out.unlink(missing_ok=True)
    run = subprocess.run([STRATA, "tokenize", str(folder), "--dataset", str(dataset), "-o", str(out), *flags], capture_output=True, text=True)
    if run.returncode != 0:
        return run.stderr.strip()
    tensors = load_file(out)
    ids = tensors["input_ids"]
    lengths = tensors["lengths"] if "lengths" in tensors else [ids.shape[1]] * ids.shape[0]
    return [row[:length].tolist() for row, length in zip(ids, lengths)]


def texts_for(tokens):
    plain = ["Once upon a time, there was  a   cat. ", " It said: hi!\n\n  \tYes 12,345", "\u00e9\u0301\ufb01 \u4f60\u597d \U0001f600", BLANK + "x " + BLANK]
    return plain + [f"say {t}now {t} {t}{t} x{t}y  {t}  z" for t in tokens] + tokenizer_zoo.hostile(40, 11, tokens)


def same_ids(name, folder, tokens=(), may_refuse=False):
    """Follows AutoTokenizer, with special tokens and without; `may_refuse`: or says in one line why it does not."""
    texts = texts_for(list(tokens))
    reference = AutoTokenizer.from_pretrained(folder)
    end = [reference.eos_token_id if reference.eos_token_id is not None else 0]
    for flags, special in ((), False), (("--add-special-tokens",), True):
        got = tokenize(folder, texts, *flags)
        if isinstance(got, str):
            refusal = may_refuse and "\n" not in got and got.startswith("strata: ")
            return print(f"{name}: {ascii(got)}") if refusal else fail(name, "refused:", got)
        want = [reference(text, add_special_tokens=special)["input_ids"] + end for text in texts]
        bad = [i for i, (a, b) in enumerate(zip(got, want)) if a != b]
        if bad:
            i = bad[0]
            return fail(name, f"special {special}: {len(bad)} of {len(texts)} differ: {ascii(texts[i][:60])}\n  {got[i][:24]}\n  {want[i][:24]}")
    return None


def refused(name, folder, *parts):
    got = tokenize(folder, ["a"])
    if not isinstance(got, str) or got.count("\n") or not all(part in got for part in parts):
        fail(name, "should be refused with", parts, "got", got)


def added(old, *tokens):
    first = max([len(old["model"]["vocab"])] + [one["id"] + 1 for one in old["added_tokens"]])
    return {**old, "added_tokens": old["added_tokens"] + [dict(one, id=first + i) for i, one in enumerate(tokens)]}


def every_place(name, source):
    """One token more, declared in one place at a time; then in several."""
    base = folder_of(f"{name}-base", source, {})
    size = len(AutoTokenizer.from_pretrained(base))
    own = {str(one["id"]): {k: v for k, v in one.items() if k != "id"} for one in json.loads((source / "tokenizer.json").read_text())["added_tokens"]}
    x, odd = "<x>", token("<odd>", lstrip=True, rstrip=True, special=False)
    decoder = {**own, str(size): token(x), str(size + 1): odd}
    cases = {
        "nowhere": {},
        "tokenizer.json": dict(tokenizer=lambda old: added(old, token(x), odd)),
        "added_tokens_decoder": dict(tokenizer_config=settings(added_tokens_decoder=decoder)),
        "added_tokens_decoder out of order": dict(tokenizer_config=settings(added_tokens_decoder=dict(reversed(decoder.items())))),
        "decoder without flags": dict(tokenizer_config=settings(added_tokens_decoder={**own, str(size): dict(content=x), str(size + 1): dict(content="<n>", special=True)})),
        "decoder changes flags": dict(tokenizer=lambda old: added(old, token(x)), tokenizer_config=settings(added_tokens_decoder={**own, str(size): token(x, lstrip=True, single_word=True)})),
        "extra list": dict(tokenizer_config=settings(extra_special_tokens=[x, "<y>", x])),
        "extra objects": dict(tokenizer_config=settings(extra_special_tokens=[typed(x, rstrip=True), typed("<y>", special=False, single_word=True)])),
        "extra names": dict(tokenizer_config=settings(extra_special_tokens=dict(image_token=x, other="<y>"))),
        "additional": dict(tokenizer_config=settings(additional_special_tokens=[x, "<y>"])),
        "additional beside an empty extra": dict(tokenizer_config=settings(additional_special_tokens=[x], extra_special_tokens=[])),
        "additional beside extra names": dict(tokenizer_config=settings(additional_special_tokens=[x], extra_special_tokens={})),
        "model specific": dict(tokenizer_config=settings(model_specific_special_tokens=dict(image_token=x))),
        "own key": dict(tokenizer_config=settings(image_token=x, audio_token=typed("<y>", lstrip=True), model_specific_special_tokens=dict(z_token="<z>"))),
        "named": dict(tokenizer_config=settings(mask_token=x, cls_token=typed("<y>", rstrip=True))),
        "eos": dict(tokenizer_config=settings(eos_token=x)),
        "eos null": dict(tokenizer_config=settings(eos_token=None)),
        "eos missing": dict(tokenizer_config=settings(eos_token=...)),
        "special_tokens_map": dict(special_tokens_map=dict(eos_token=token(x, lstrip=True), sep_token="<y>", extra_special_tokens=["<z>", token("<w>") and "<w>"])),
        "special_tokens_map, additional": dict(special_tokens_map=dict(additional_special_tokens=[x, "<y>"])),
        "special_tokens_map beside a decoder": dict(special_tokens_map=dict(eos_token=x), tokenizer_config=settings(added_tokens_decoder=own)),
        "special_tokens_map beside additional": dict(special_tokens_map=dict(additional_special_tokens=["<y>"]), tokenizer_config=settings(additional_special_tokens=[x])),
        "special_tokens_map undoes": dict(special_tokens_map=dict(eos_token=None, pad_token=x)),
        "added_tokens.json": dict(added_tokens={x: size, "<y>": size + 1}),
        "added_tokens.json, special": dict(added_tokens={x: size, "<y>": size + 1}, tokenizer_config=settings(extra_special_tokens=[x]), special_tokens_map=dict(additional_special_tokens=["<y>"])),
        "added_tokens.json beside a decoder": dict(added_tokens={x: size}, tokenizer_config=settings(added_tokens_decoder=own)),
        "everywhere": dict(added_tokens={x: size}, special_tokens_map=dict(mask_token="<m>", additional_special_tokens=["<q>"]), tokenizer_config=settings(extra_special_tokens=["<e>"], image_token="<i>")),
        "no settings": dict(tokenizer_config=None),
        "add_bos_token": dict(tokenizer_config=settings(add_bos_token=True, add_eos_token=True)),
        "add_bos_token without a post-processor": dict(tokenizer=lambda old: {**old, "post_processor": None}, tokenizer_config=settings(add_bos_token=True, add_eos_token=True)),
        "add_prefix_space": dict(tokenizer_config=settings(add_prefix_space=True)),
        "no add_prefix_space": dict(tokenizer_config=settings(add_prefix_space=False)),
        "legacy": dict(tokenizer_config=settings(legacy=True)),
        "truncation": dict(tokenizer=lambda old: {**old, "truncation": dict(max_length=4, stride=0, strategy="LongestFirst", direction="Right"),
                                                  "padding": dict(strategy=dict(Fixed=9), direction="Right", pad_to_multiple_of=None, pad_id=0, pad_type_id=0, pad_token="<unk>")}),
    }
    for case, files in cases.items():
        same_ids(f"{name}, {case}", folder_of(f"{name}-{case}", source, files), [x, "<y>", "<odd>", "<z>", "<w>", "<n>", "<m>", "<q>", "<e>", "<i>"])


def every_class(source):
    """The classes that a language model may name, on both kinds of files, and by the type of the model alone."""
    for name in ("TokenizersBackend", "PreTrainedTokenizerFast", "PreTrainedTokenizer", "SomethingElse", "LlamaTokenizer", "LlamaTokenizerFast",
                 "Qwen2Tokenizer", "Qwen2TokenizerFast", "Qwen3_5Tokenizer", "GPT2Tokenizer", "GPTNeoXTokenizerFast", "GemmaTokenizer"):
        for kind in ("llama", "qwen3") + (("qwen2", "mistral", "deepseek_v3") if name.startswith("Llama") else ()):
            label = f"{name} of {kind}, {source.name}"
            folder = folder_of(label, source, dict(tokenizer_config=settings(tokenizer_class=name), config=lambda old, kind=kind: {"model_type": kind}))
            same_ids(label, folder, ["<unk>", "</s>", "<|endoftext|>"], may_refuse=True)
    for kind in ("llama", "qwen3", "qwen3_moe", "mistral", "gpt2", "gpt_neox", "qwen3_5"):
        label = f"no class, {kind}, {source.name}"
        same_ids(label, folder_of(label, source, dict(tokenizer_config=settings(tokenizer_class=...), config=lambda old, kind=kind: {"model_type": kind})), may_refuse=True)
    label = f"class in config.json, {source.name}"
    same_ids(label, folder_of(label, source, dict(tokenizer_config=settings(tokenizer_class=...), config={"model_type": "llama", "tokenizer_class": "Qwen2Tokenizer"})), may_refuse=True)


def every_refusal(source):
    own = {str(one["id"]): {k: v for k, v in one.items() if k != "id"} for one in json.loads((source / "tokenizer.json").read_text())["added_tokens"]}
    size = len(AutoTokenizer.from_pretrained(folder_of("refusals-base", source, {})))
    for name, files, parts in (
        ("id of a decoder", dict(tokenizer_config=settings(added_tokens_decoder={**own, str(size + 7): token("<x>")})),
         ("tokenizer_config.json: added_tokens_decoder", "<x>", f" {size + 7}", f" {size};", ".safetensors")),
        ("id of added_tokens.json", dict(added_tokens={"<x>": size + 3}), ("added_tokens.json", "<x>", f" {size + 3}", f" {size};", ".safetensors")),
        ("two ways to normalize", dict(tokenizer=lambda old: added(old, token("<x>")), tokenizer_config=settings(added_tokens_decoder={**own, str(size): token("<x>", normalized=True)})), ("<x>", "normalized")),
        ("an object without a type", dict(tokenizer_config=settings(bos_token=token("<x>"))), ("bos_token", "__type")),
        ("an unknown class", dict(tokenizer_config=settings(tokenizer_class="CohereTokenizer"), config={"model_type": "llama"}), ("tokenizer_class", "CohereTokenizer", ".safetensors")),
        ("an unknown class by type", dict(tokenizer_config=settings(tokenizer_class=...), config={"model_type": "cohere"}), ("model_type cohere", ".safetensors")),
        ("a program", dict(tokenizer_config=settings(auto_map=dict(AutoTokenizer=["x.X", None]))), ("auto_map", "program")),
        ("split_special_tokens", dict(tokenizer_config=settings(split_special_tokens=True)), ("split_special_tokens",)),
        ("fix_mistral_regex", dict(tokenizer_config=settings(fix_mistral_regex=True)), ("fix_mistral_regex",)),
        ("versions of the file", dict(tokenizer_config=settings(fast_tokenizer_files=["tokenizer.json", "tokenizer.4.0.0.json"])), ("fast_tokenizer_files", "tokenizer.4.0.0.json")),
    ):
        refused(name, folder_of(f"refused-{name}", source, files), *parts)


def check_table():
    """formats/tokenizer/registered_classes.h says of each type of model what transformers says."""
    text = (ROOT / "formats/tokenizer/registered_classes.h").read_text(encoding="utf-8")
    table = {name: "".join(re.findall(r'"([^"]*)"', body)).split() for name, body in re.findall(r"string_view (\w+) =\s+(.*?);", text, re.S)}
    known = {"as_they_are": ("TokenizersBackend", "MistralCommonBackend"), "qwen2": ("Qwen2Tokenizer",), "gpt2": ("GPT2Tokenizer",),
             "gpt_neox": ("GPTNeoXTokenizer",), "gemma": ("GemmaTokenizer",)}
    here = {"LlamaTokenizer", "Qwen3_5Tokenizer"}.union(*known.values())
    # Without the package that a class needs there is none: one of those that are not known here.
    names = {kind: (name or "").removesuffix("Fast") for kind, name in auto.TOKENIZER_MAPPING_NAMES.items()}
    for entry, classes in known.items():
        if sorted(table[entry]) != sorted(kind for kind, name in names.items() if name in classes):
            fail(f"table {entry}", set(table[entry]) ^ {kind for kind, name in names.items() if name in classes})
    if sorted(table["other_types"]) != sorted(kind for kind, name in names.items() if name not in here):
        fail("table other_types", set(table["other_types"]) ^ {kind for kind, name in names.items() if name not in here})
    if sorted(table["with_wrong_class"]) != sorted(auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS):
        fail("table with_wrong_class", set(table["with_wrong_class"]) ^ auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS)
    missing = {name for name in names.values() if name and name not in here} - set(table["other_classes"])
    if missing:
        fail("table other_classes", missing)


def main():
    check_table()
    if not FIXTURES.is_dir():
        print("SKIPPED: needs ../shared/fixtures")
        return 1 if failures else 77
    blanks, letters = FIXTURES / "models/tinystories-656k", FIXTURES / "models/qwen3-dense"
    every_place("blanks", blanks)
    every_place("bytes", letters)
    every_class(blanks)
    every_class(letters)
    every_refusal(letters)
    phi = FIXTURES / "tokenizers/phi-3-mini"
    for kind in ("phi3", "llama"):
        same_ids(f"phi-3-mini as {kind}", folder_of(f"phi-{kind}", phi, dict(config={"model_type": kind})), ["<|user|>", "<|end|>", "</s>"])
    shutil.rmtree(SCRATCH)
    print("FAILED: " + "; ".join(failures) if failures else "all ids equal")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
