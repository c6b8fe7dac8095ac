"""What loaders find beside the weights: every place of a chat template survives into an output and renders as transformers
renders it; what made the source fail to load is not in the output. Usage: side_files_test.py STRATA"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.processing_utils import ProcessorMixin
except ImportError as missing:
    print(f"SKIPPED: {missing}; scripts/setup.sh --oracle installs it")
    sys.exit(77)

STRATA = sys.argv[1]
MODEL = Path(__file__).resolve().parents[3] / "shared/fixtures/models/tinystories-656k"
SCRATCH = Path(tempfile.mkdtemp())
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # its python3 has jinja2
failures = []


def check(condition, *what):
    if not condition:
        failures.append(what[0])
        print("FAILED", *what)


def strata(*arguments):
    return subprocess.run([STRATA, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "PATH": PATH})


def template(mark):
    return mark + "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}{% if tools %}{{ tools[0].function.name }}{% endif %}"


def model_with(name, files):
    folder = SCRATCH / name.replace(" ", "-")
    folder.mkdir()
    for file in MODEL.iterdir():
        if file.is_file() and file.suffix in (".json", ".safetensors"):
            (folder / file.name).write_bytes(file.read_bytes())
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(exist_ok=True)
        if isinstance(content, dict):
            old = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
            content = json.dumps({**old, **content})
        place.write_text(content, encoding="utf-8")
    return folder


def quantized(folder):
    out = folder.with_name(folder.name + "-out")
    run = strata("quantize", folder, "-o", out, "--scheme", "W8A16", "--quiet")
    check(run.returncode == 0, folder.name, "quantize:", run.stderr)
    return out


TOOL = dict(type="function", function=dict(name="find", description="Finds.", parameters=dict(type="object", properties=dict(x=dict(type="string")))))
CHATS = [dict(messages=[dict(role="user", content="Hi there"), dict(role="assistant", content="once upon")]),
         dict(messages=[dict(role="user", content="What?")], tools=[TOOL])]
PLACES = {
    "a key": {"tokenizer_config.json": dict(chat_template=template("key"))},
    "a key with names": {"tokenizer_config.json": dict(chat_template=[dict(name="default", template=template("one")), dict(name="tool_use", template=template("two"))])},
    "a file": {"chat_template.jinja": template("file")},
    "a file over a key": {"chat_template.jinja": template("file"), "tokenizer_config.json": dict(chat_template=template("key"))},
    "a file over names": {"chat_template.jinja": template("file"), "tokenizer_config.json": dict(chat_template=[dict(name="default", template=template("one")), dict(name="tool_use", template=template("two"))])},
    "a folder": {"chat_template.jinja": template("file"), "additional_chat_templates/tool_use.jinja": template("tools"), "additional_chat_templates/rag.jinja": template("rag")},
    "a folder over a key": {"additional_chat_templates/default.jinja": template("folder"), "tokenizer_config.json": dict(chat_template=template("key"))},
}
PROCESSOR_PLACES = {
    "chat_template.json": {"chat_template.json": dict(chat_template=template("older"))},
    "processor_config.json": {"processor_config.json": dict(chat_template=template("processor"), processor_class="X")},
}
FAILING = {
    "a folder without a default": {"additional_chat_templates/rag.jinja": template("rag"), "tokenizer_config.json": dict(chat_template=template("key"))},
    "names without a default": {"tokenizer_config.json": dict(chat_template=[dict(name="rag", template=template("one"))])},
    "no template": {},
}


def render(folder):
    """Ids of the chats, or what was said instead."""
    data, ids = SCRATCH / "chats.jsonl", SCRATCH / "ids.safetensors"
    data.write_text("".join(json.dumps(chat) + "\n" for chat in CHATS), encoding="utf-8")
    run = strata("tokenize", folder, "--dataset", data, "-o", ids, "--force")
    if run.returncode != 0:
        return run.stderr.strip()
    tensors = load_file(ids)
    return [row[:n].tolist() for row, n in zip(tensors["input_ids"], tensors["lengths"])]


def templates_of(folder):
    return AutoTokenizer.from_pretrained(folder).chat_template, ProcessorMixin.get_processor_dict(folder)[0].get("chat_template")


def check_chats():
    for name, files in {**PLACES, **PROCESSOR_PLACES}.items():
        folder = model_with(name, files)
        out = quantized(folder)
        check(templates_of(out) == templates_of(folder), name, "the output's templates:", templates_of(out))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if name in PROCESSOR_PLACES:  # the tokenizer has none, a processor would render with this one
            tokenizer.chat_template = ProcessorMixin.get_processor_dict(folder)[0]["chat_template"]
        texts = [tokenizer.apply_chat_template(chat["messages"], tools=chat.get("tools"), tokenize=False) for chat in CHATS]
        want = [tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for text in texts]
        for place in (folder, out):
            check(render(place) == want, name, place.name, render(place), want, texts)
    for name, files in FAILING.items():
        folder = model_with(name, files)
        try:
            AutoTokenizer.from_pretrained(folder).apply_chat_template(CHATS[0]["messages"], tokenize=False)
            check(False, name, "transformers renders it")
        except ValueError:
            pass
        said = render(folder)
        check(isinstance(said, str) and "template" in said and "\n" not in said, name, said)


def check_adapter():
    folder = model_with("adapter", {"adapter_config.json": dict(peft_type="LORA", base_model_name_or_path="nobody/nothing", r=8, target_modules=["q_proj"], task_type="CAUSAL_LM")})
    plan = strata("plan", folder, "-o", SCRATCH / "planned", "--scheme", "W8A16")
    check("adapter_config.json" in plan.stdout, "adapter", "plan says:", plan.stdout)
    out = quantized(folder)
    check(not (out / "adapter_config.json").exists(), "adapter", "is in the output")
    check(strata("verify", out, "--source", folder).returncode == 0, "adapter", "verify")
    try:
        import peft  # noqa: F401
    except ImportError:
        print("SKIPPED: what transformers does with an adapter's config needs the package peft, which the oracle does not install")
        return
    try:
        AutoModelForCausalLM.from_pretrained(folder)
        check(False, "adapter", "transformers loads the source")
    except Exception as error:  # whatever it says: the source does not load
        print(f"the source does not load: {str(error)[:90]}")
    model = AutoModelForCausalLM.from_pretrained(out)
    check(type(model).__name__ == "LlamaForCausalLM", "adapter", "the output does not load:", type(model))


def main():
    if not MODEL.is_dir():
        print("SKIPPED: needs ../shared/fixtures")
        return 77
    check_chats()
    check_adapter()
    shutil.rmtree(SCRATCH)
    print("FAILED: " + "; ".join(failures) if failures else "side files: all as loaders see them")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
