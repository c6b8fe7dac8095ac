#!/usr/bin/env python3
"""Renders the chats of a JSON-lines file, or of a JSON array, with the chat template of a model.

Usage: render_chat.py MODEL_FOLDER FILE SPECIAL_TOKENS [array]

SPECIAL_TOKENS is a JSON object of the tokens that templates may use: {"bos_token": "<s>"}.
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


def read_text(path):
    return path.read_text(encoding="utf-8")


def tokenizer_templates(folder):
    """Name to template, as AutoTokenizer finds them: where there are files of templates, the key does not count."""
    templates = {}
    if (folder / "chat_template.jinja").is_file():
        templates["default"] = read_text(folder / "chat_template.jinja")
    for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        templates[path.name.removesuffix(".jinja")] = read_text(path)
    if templates:
        return templates
    key = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(key, list):
        return {item["name"]: item["template"] for item in key}
    return key if isinstance(key, dict) else {"default": key} if key else {}


def processor_templates(folder):
    """As AutoProcessor finds them beyond those: older places, for models that have a processor."""
    key = read_json(folder / "processor_config.json").get("chat_template") or read_json(folder / "chat_template.json").get("chat_template")
    return key if isinstance(key, dict) else {"default": key} if key else {}


def load_templates(folder):
    """Name to template; the usual one is called default."""
    try:
        templates = tokenizer_templates(folder) or processor_templates(folder)
    except Exception as broken:  # the files may hold anything
        raise Refused(f"{folder}: its chat template cannot be read: {type(broken).__name__}: {broken}") from broken
    if not all(isinstance(text, str) for pair in templates.items() for text in pair):
        raise Refused(f"{folder}: its chat template is no text")
    if not templates:
        raise Refused(
            f"{folder}: no chat template: neither chat_template.jinja, additional_chat_templates/*.jinja, chat_template in "
            "tokenizer_config.json or processor_config.json, nor chat_template.json"
        )
    return templates


def choose_template(folder, templates, tools):
    if tools is not None and "tool_use" in templates:
        return "tool_use"
    if "default" not in templates:
        raise Refused(f"{folder}: its chat templates are {', '.join(sorted(templates))}; none of them is the default one, chat_template.jinja")
    return "default"


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


def check_chat(where, messages, tools):
    """Templates take anything, and make something of it."""
    if not isinstance(messages, list):
        raise Refused(f"{where}: messages is {json.dumps(messages)[:40]}, not an array of messages")
    if not messages:
        raise Refused(f"{where}: messages is empty")
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refused(f"{where}: message {number} is {json.dumps(message)[:40]}, not an object with a role")
    if tools is not None and not isinstance(tools, list):
        raise Refused(f"{where}: tools is {json.dumps(tools)[:40]}, not an array")


def main(folder, path, tokens, array):
    templates, environment = load_templates(folder), make_environment()
    compiled = {}
    for where, number, document in chats(path, array):
        tools = document.get("tools")
        name = choose_template(folder, templates, tools)
        check_chat(where, document["messages"], tools)
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
    if len(sys.argv) < 4 or sys.argv[4:] not in ([], ["array"]):
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), array=len(sys.argv) == 5)
    except Refused as reason:
        print(json.dumps({"error": str(reason)}))
