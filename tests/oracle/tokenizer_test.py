"""Ids of `strata tokenize` against Hugging Face tokenizers; windows against the evaluator's script; chats
against transformers. Usage: tokenizer_test.py STRATA [--whole]: all text files to their end"""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer
    from transformers.utils.chat_template_utils import render_jinja_template
    from safetensors.numpy import load_file

    import tokenizer_zoo
    from starts import run_program
except ImportError as missing:
    print(f"SKIPPED: {missing}; scripts/setup.sh --oracle installs it")
    sys.exit(77)

STRATA = sys.argv[1]
BYTES_OF_A_FILE = None if "--whole" in sys.argv else 100_000
ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
FIXTURES = SHARED / "fixtures"
SCRATCH = Path(tempfile.mkdtemp())
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # its python3 has jinja2
failures = []


def tokenize(model, dataset, *flags):
    out = SCRATCH / "ids.safetensors"
    out.unlink(missing_ok=True)
    run = run_program([STRATA, "tokenize", str(model), "--dataset", str(dataset), "-o", str(out), *flags],
                      capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"FAILED: {model} {dataset} {flags}: exit {run.returncode}: {run.stderr}")
    tensors = load_file(out)
    ids = tensors["input_ids"]
    lengths = tensors["lengths"] if "lengths" in tensors else [ids.shape[1]] * ids.shape[0]
    return [row[:length].tolist() for row, length in zip(ids, lengths)]


def expect(name, got, want, texts=None):
    bad = [i for i, (a, b) in enumerate(zip(got, want)) if a != b]
    if len(got) == len(want) and not bad:
        return
    failures.append(name)
    print(f"FAILED {name}: {len(got)} rows, {len(want)} expected, {len(bad)} differ")
    for i in bad[:3]:
        at = next((k for k, (a, b) in enumerate(zip(got[i], want[i])) if a != b), -1)
        print(f"  row {i} id {at}: {got[i][at:at + 6]}, expected {want[i][at:at + 6]}", ascii(texts[i][:160]) if texts else "")


def model_folder(name, tokenizer):
    folder = SCRATCH / name
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def reference_of(folder):
    """Ids of a text, special tokens or not: by AutoTokenizer where the folder is a model's, else by the file alone."""
    if (folder / "config.json").is_file():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return lambda text, special: tokenizer(text, add_special_tokens=special)["input_ids"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda text, special: tokenizer.encode(text, add_special_tokens=special).ids


def check_ids(name, folder, texts):
    reference = reference_of(folder)
    dataset = SCRATCH / "texts.jsonl"
    dataset.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    for flags, special in ((), False), (("--add-special-tokens",), True):
        rows = [row[:-1] for row in tokenize(folder, dataset, *flags)]  # end-of-text after each document
        want = [reference(text, special) for text in texts]
        expect(f"{name}, special tokens {special}", rows, want, texts)


def check_files(name, folder):
    """The beginnings of all text files one after the other, as one plain text."""
    reference = reference_of(folder)
    files = [f for f in sorted(glob.glob(str(FIXTURES / "text/**/*"), recursive=True)) if os.path.isfile(f) and not f.endswith(".gz")]
    text = "".join(Path(f).read_bytes()[:BYTES_OF_A_FILE].decode(errors="replace") for f in files)
    plain = SCRATCH / "plain.txt"
    plain.write_text(text, encoding="utf-8")
    expect(f"{name}, all {len(files)} text files", tokenize(folder, plain), [reference(text, False)])


def published(name, vocabulary, split_regex, normalizer, added, bos=None, pairs=False):
    """A tokenizer.json as its makers publish it, from vocab.json and merges.txt."""
    vocab = json.loads((vocabulary / "vocab.json").read_text(encoding="utf-8"))
    merges = [m for m in (vocabulary / "merges.txt").read_text(encoding="utf-8").split("\n") if m and not m.startswith("#version")]
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=split_regex is None)
    split = dict(type="Split", pattern=dict(Regex=split_regex), behavior="Isolated", invert=False)
    first = dict(SpecialToken=dict(id=bos, type_id=0))
    text = dict(Sequence=dict(id="A", type_id=0))
    template = dict(type="TemplateProcessing", single=[first, text], pair=[text, dict(Sequence=dict(id="B", type_id=1))],
                    special_tokens={bos: dict(id=bos, ids=[len(vocab)], tokens=[bos])})
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return model_folder(name, dict(
        version="1.0", truncation=None, padding=None, normalizer=normalizer, decoder=level,
        added_tokens=[dict(id=len(vocab) + i, content=token, **flags) for i, token in enumerate(added)],
        pre_tokenizer=dict(type="Sequence", pretokenizers=[split, level]) if split_regex else level,
        post_processor=dict(type="Sequence", processors=[level, template]) if bos else level,
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False,
                   byte_fallback=False, ignore_merges=pairs, vocab=vocab, merges=[m.split(" ") for m in merges] if pairs else merges)))


def check_fixtures():
    folders = {Path(f).parent.name: Path(f).parent for f in glob.glob(str(FIXTURES / "models/*/tokenizer.json"))}
    folders["phi-3-mini"] = SCRATCH / "phi-3-mini"
    shutil.copytree(FIXTURES / "tokenizers/phi-3-mini", folders["phi-3-mini"])
    (folders["phi-3-mini"] / "config.json").write_text('{"model_type": "phi3"}', encoding="utf-8")
    gpt2, qwen2 = FIXTURES / "tokenizers/gpt2", FIXTURES / "tokenizers/qwen2"
    folders["real-gpt2"] = published("real-gpt2", gpt2, None, None, ["<|end|>"])
    folders["real-qwen2"] = published("real-qwen2", qwen2, tokenizer_zoo.QWEN2, dict(type="NFC"), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    reserved = [f"<|reserved_special_token_{i}|>" for i in range(40)]
    folders["real-llama3"] = published("real-llama3", qwen2, tokenizer_zoo.LLAMA3, None, ["<|begin_of_text|>", *reserved], "<|begin_of_text|>", True)
    hard = (FIXTURES / "tokenizers/ggml_vocab/tests.inp").read_bytes().decode()
    texts = hard.split("\n__ggml_vocab_test__\n") + [hard]
    for name, folder in sorted(folders.items()):
        added = [t["content"] for t in json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]]
        check_ids(name, folder, texts + tokenizer_zoo.hostile(2000, 1, added + [added[0][:-1], " " + added[-1] + " "]))
        check_files(name, folder)


def check_windows():
    sys.path.insert(0, str(SHARED / "tools"))
    import textdata
    folder = FIXTURES / "models/qwen3-dense"
    reference = AutoTokenizer.from_pretrained(folder)
    ends = SCRATCH / "ends.txt"
    ends.write_bytes("\u00e9\u00e9n\r\ntwo\rthree\n\r\n".encode() * 700 + "\u6c34".encode() * 3001)
    files = [FIXTURES / "text/wikitext-2/wiki.test.tokens", FIXTURES / "text/misc/tinyshakespeare.txt", ends]
    stories = SCRATCH / "stories.jsonl"
    stories.write_text("".join(json.dumps({"text": text}) + "\n\n" for text in tokenizer_zoo.hostile(101, 3)), encoding="utf-8")
    for file in [*files, stories]:
        for part in ("all", "first", "second"):
            want = textdata.windows(reference, file, part, count=12, length=64)
            expect(f"windows of {file.name}, {part}", tokenize(folder, file, "--part", part, "--seqlen", "64", "--nsamples", "12"), want)


def check_chats():
    folder = FIXTURES / "models/qwen3-dense"
    reference = AutoTokenizer.from_pretrained(folder)
    file = FIXTURES / "text/chat_tool/synthetic_conversations_1k.jsonl"
    chats = [json.loads(line)["messages"] for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    texts = [reference.apply_chat_template(chat, tokenize=False) for chat in chats]
    want = [reference(text, add_special_tokens=False)["input_ids"] + [reference.eos_token_id] for text in texts]
    expect("chats", tokenize(folder, file), want, texts)
    array = SCRATCH / "chats.json"
    array.write_text(json.dumps([text if i % 2 else dict(messages=chat) for i, (text, chat) in enumerate(zip(texts, chats))],
                                indent=1, ensure_ascii=False), encoding="utf-8")
    expect("chats and texts in a .json", tokenize(folder, array), want, texts)


def check_templates():
    """The renderer alone, on the templates of real models."""
    chat = [dict(role="system", content="Be brief."), dict(role="user", content="<b>O\u00f9?</b>"), dict(role="assistant", content="L\u00e0.\n"),
            dict(role="user", content="Why?"), dict(role="assistant", content="Because.")]
    tool = dict(type="function", function=dict(name="find", description="Finds.", parameters=dict(type="object", properties=dict(what=dict(type="string")))))
    lines = [dict(messages=chat), dict(messages=chat[1:3], tools=[tool]), dict(text="kept")]
    dataset = SCRATCH / "chat.jsonl"
    dataset.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for source in sorted((FIXTURES / "tokenizers/chat_templates").iterdir()):
        folder = SCRATCH / ("template-" + source.name)
        folder.mkdir()
        if source.suffix == ".jinja":
            (folder / "chat_template.jinja").write_bytes(source.read_bytes())
            template, tokens = source.read_text(encoding="utf-8"), {}
        else:
            (folder / "tokenizer_config.json").write_bytes(source.read_bytes())
            config = json.loads(source.read_text(encoding="utf-8"))
            template = config.get("chat_template")
            tokens = {k: v["content"] if isinstance(v, dict) else v for k, v in config.items() if k.endswith("_token") and v and not isinstance(v, bool)}
        if not template:
            continue
        run = subprocess.run([sys.executable, ROOT / "scripts/render_chat.py", folder, dataset, json.dumps(tokens)], capture_output=True, text=True, check=True)
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        want = [render_jinja_template([line["messages"]], tools=line.get("tools"), chat_template=template, **tokens)[0][0] for line in lines[:2]]
        expect(f"template {source.name}", [answer.get("text", answer) for answer in answers[:-1]], want)


def main():
    texts = tokenizer_zoo.hostile(600, 2, ["<|bos|>", "<|eos|>", "<unk>", "<0x41>"]) + tokenizer_zoo.lines()[-10:] + ["<0x41>", "the-mill-is-under -- it"]
    for name, tokenizer in tokenizer_zoo.zoo().items():
        check_ids(f"zoo {name}", model_folder(f"zoo-{name}", tokenizer), texts)
    if not FIXTURES.is_dir():
        print("SKIPPED: the small tokenizers agree; the real ones need ../shared/fixtures")
        return 1 if failures else 77
    check_fixtures()
    check_windows()
    check_chats()
    check_templates()
    print("FAILED: " + "; ".join(failures) if failures else "all ids equal")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
