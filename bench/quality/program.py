"""The strata program: what it prints, and what it said before."""

import hashlib
import json
import os
import subprocess
import sys


class Program:
    """`answers` keeps results by everything they follow from, the program's own bytes included."""

    def __init__(self, path, answers):
        self.path, self.answers = path, answers
        if not os.access(path, os.X_OK):
            sys.exit(f"quality: {path}: no program there; build it (scripts/build.sh release strata) or give --strata")
        os.makedirs(answers, exist_ok=True)
        self.digest = file_digest(path)

    def run(self, *arguments):
        done = subprocess.run([self.path, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"quality: strata {' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json", "-q"))

    def has_option(self, command, option):
        return option in self.run(command, "--help")

    def remembered(self, question, make):
        """The answer to `question`, any JSON; made once."""
        text = json.dumps([self.digest, question], sort_keys=True)
        path = os.path.join(self.answers, hashlib.sha256(text.encode()).hexdigest()[:24] + ".json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return json.load(file)
        answer = make()
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump(answer, file)
        os.replace(file.name, path)
        return answer


def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:24]
