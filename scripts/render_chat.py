#!/usr/bin/env python3
"""Renders the chats of a JSON-lines file, or of a JSON array, with the chat template of a model.

Usage: render_chat.py MODEL_FOLDER FILE [array]

For every object with "messages" and no "text" it prints {"number": of its line or element, "text": text}, at the end
{"done": true}; when something is wrong, {"error": message} instead. The text equals transformers'
apply_chat_template(messages, tokenize=False); only jinja2 is needed. Strata calls it by itself.
"""
import json
import sys
from datetime import datetime
from pathlib import Path


class Refused(Exception):
    pass


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def token_text(value):
    return value.get("content") if isinstance(value, dict) else value


def special_tokens(folder):
    """The *_token strings that templates may use, such as bos_token."""
    merged = {**read_json(folder / "special_tokens_map.json"), **read_json(folder / "tokenizer_config.json")}
    texts = {key: token_text(value) for key, value in merged.items() if key.endswith("_token")}
    return {key: text for key, text in texts.items() if isinstance(text, str)}


def load_templates(folder):
    """Name to template; the usual one is called default."""
    templates = read_json(folder / "tokenizer_config.json").get("chat_template") or {}
    if isinstance(templates, list):
        templates = {item["name"]: item["template"] for item in templates}
    elif isinstance(templates, str):
        templates = {"default": templates}
    files = {"default": folder / "chat_template.jinja"}
    files.update({path.stem: path for path in sorted((folder / "additional_chat_templates").glob("*.jinja"))})
    templates.update({name: path.read_text(encoding="utf-8") for name, path in files.items() if path.is_file()})
    if "default" not in templates:
        raise Refused(f"{folder}: no chat template: neither chat_template.jinja nor chat_template in tokenizer_config.json")
    return templates


def make_environment():
    try:
        import jinja2
        import jinja2.ext
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as missing:
        raise Refused(
            f"chats need the Python package jinja2 3.1 or later ({missing}): apt-get install python3-jinja2, or pip install jinja2"
        ) from missing
    if tuple(int(part) for part in jinja2.__version__.split(".")[:2]) < (3, 1):
        raise Refused(f"chats need jinja2 3.1 or later, this is {jinja2.__version__}: python3 -m pip install -U jinja2")

    class Generation(jinja2.ext.Extension):
        """{% generation %} marks what the assistant says; it changes no text."""
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_keep"), [], [], body).set_lineno(line)

        def _keep(self, caller):
            return caller()

    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def documents(path, array):
    """(where it stands, its number, the object) of everything in the file."""
    if array:
        try:
            elements = json.loads(path.read_bytes())
        except ValueError as broken:
            raise Refused(f"{path}: broken JSON: {broken}") from broken
        for number, document in enumerate(elements, 1):
            yield f"{path}: element {number}", number, document
        return
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        where = f"{path}: line {number}"
        if line.strip():
            try:
                yield where, number, json.loads(line)
            except ValueError as broken:
                raise Refused(f"{where}: broken JSON: {broken}") from broken


def chats(path, array):
    """Those of the documents that are to be rendered."""
    for where, number, document in documents(path, array):
        if isinstance(document, dict) and "text" not in document and "messages" in document:
            yield where, number, document


def main(folder, path, array):
    templates, environment, tokens = load_templates(folder), make_environment(), special_tokens(folder)
    compiled = {}
    for where, number, document in chats(path, array):
        tools = document.get("tools")
        name = "tool_use" if tools is not None and "tool_use" in templates else "default"
        try:
            if name not in compiled:
                compiled[name] = environment.from_string(templates[name])
            text = compiled[name].render(
                messages=document["messages"], tools=tools, documents=None, add_generation_prompt=False, **tokens
            )
        except Exception as problem:  # a template is a program: it may raise anything
            raise Refused(f"{where}: the chat template failed: {problem}") from problem
        print(json.dumps({"number": number, "text": text}))
    print(json.dumps({"done": True}))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["array"]):
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), array=len(sys.argv) == 4)
    except Refused as reason:
        print(json.dumps({"error": str(reason)}))
