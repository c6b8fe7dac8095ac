#!/usr/bin/env python3
"""Breaks the interpreter in one place at a time and shows that a test notices.

    mutations.py [--libtorch FOLDER] [--only WORD] [--places]

Works on a copy of the source in a temporary folder. A mutation is a list of texts to replace, each of which must stand
exactly once in its file, so that a mutation that has lost its place fails loudly instead of testing nothing. For each,
the copy is built and the tests tagged [golden] run: the interpreter against transformers on tiny models. Exit code 1
when a mutation survives, does not apply or does not compile. --places only looks whether each still has its place.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ATTENTION, FFN, LAYER = "engine/model/attention.cc", "engine/model/ffn.cc", "engine/model/layer.cc"
NORM, ROPE, SITE = "engine/model/norm.cc", "engine/model/rope.cc", "engine/model/linear_site.cc"
CANONICAL, MISTRAL = "profiles/canonical.cc", "profiles/family/mistral.cc"

ROTATED_Q = "rotate(split_heads(site(spec.q, x), spec.heads, spec.q_norm, weights), spec.rope)"
NORMED_LAST = """[&] {
    const at::Tensor turned = rotate(split_heads(site(spec.q, x), spec.heads, std::nullopt, weights), spec.rope);
    return spec.q_norm ? rms_norm(turned, weights.tensor(spec.q_norm->weight), spec.q_norm->eps) : turned;
  }()"""
TILED = ("at::scaled_dot_product_attention(q, k.repeat({1, q.size(1) / k.size(1), 1, 1}), "
         "v.repeat({1, q.size(1) / k.size(1), 1, 1}), ")

MUTATIONS = [
    ("rope: pairs (2i, 2i+1) instead of halves", ROPE,
     [("a = x.narrow(3, 0, half), b = x.narrow(3, half, half)",
       "a = x.slice(3, 0, 2 * half, 2), b = x.slice(3, 1, 2 * half, 2)")]),
    ("rope: rotates the other way", ROPE,
     [("a * cosine - b * sine, b * cosine + a * sine", "a * cosine + b * sine, b * cosine - a * sine")]),
    ("rope: linear factor dropped", ROPE,
     [("RopeKind::linear) inverse[i] = static_cast<float>(frequency / rope.factor)",
       "RopeKind::linear) inverse[i] = frequency")]),
    ("rope: llama3 long waves kept", ROPE, [("if (wave > longest)", "if (wave > 1e9 * longest)")]),
    ("rope: llama3 short waves stretched", ROPE, [("if (wave < shortest) return frequency;",
                                                   "if (wave < shortest) return frequency / 8;")]),
    ("rope: llama3 blend reversed", ROPE,
     [("(1 - blend) * frequency / rope.factor + blend * frequency",
       "blend * frequency / rope.factor + (1 - blend) * frequency")]),
    ("q norm after the rotation", ATTENTION, [(ROTATED_Q, NORMED_LAST)]),
    ("head norms dropped", ATTENTION, [("if (norm) split", "if (norm && x.dim() == 0) split")]),
    ("k uses the weight of q norm", ATTENTION, [("spec.kv_heads, spec.k_norm", "spec.kv_heads, spec.q_norm")]),
    ("key heads tiled instead of repeated", ATTENTION, [("at::scaled_dot_product_attention(q, k, v, ", TILED)]),
    ("attention scale dropped", ATTENTION, [("/*scale=*/std::nullopt", "/*scale=*/1.0")]),
    ("window one token wider", ATTENTION, [("behind.lt(window)", "behind.le(window)")]),
    ("window one token narrower", ATTENTION, [("behind.lt(window)", "behind.lt(window - 1)")]),
    ("window ignored", MISTRAL, [("attention.window = window;", "attention.window = 0 * window;")]),
    ("attention sees the future", ATTENTION, [("/*is_causal=*/!mask.has_value()", "/*is_causal=*/false")]),
    ("norm eps dropped", NORM, [(".add_(eps)", ".add_(0 * eps)")]),
    ("norm weight dropped", NORM, [(".mul_(weight)", ".mul_(weight.sign().square())")]),
    ("residual around attention dropped", LAYER, [("middle = middle + run_block(block,", "middle = run_block(block,")]),
    ("residual around the MLP dropped", LAYER, [("middle : middle + run_block(ffn(layer),", "middle : run_block(ffn(layer),")]),
    ("final norm dropped", LAYER, [("return rms_norm(x, final_norm, model.final_norm.eps);",
                                    "return x + 0 * model.final_norm.eps * final_norm.sum();")]),
    ("gate and up swapped", FFN, [("activate(spec.activation, site(spec.gate, x))",
                                   "activate(spec.activation, site(spec.up, x))"),
                                  ("gate.mul_(site(spec.up, x))", "gate.mul_(site(spec.gate, x))")]),
    ("exact gelu instead of tanh", FFN, [('at::gelu(x, "tanh")', 'at::gelu(x, "none")')]),
    ("router weights not renormalised", FFN, [("if (spec.renormalize)", "if (x.dim() == 0)")]),
    ("router weights always renormalised", FFN, [("if (spec.renormalize)", "if (x.dim() != 0)")]),
    ("router softmax after the choice", FFN, [("probability = site(spec.router, x).softmax(-1)",
                                               "probability = site(spec.router, x)"),
                                              ("if (spec.renormalize)",
                                               "weights = weights.softmax(-1);\n  if (spec.renormalize)")]),
    ("expert weights not applied", FFN, [("  y.mul_(flat_weights.index_select(0, index_tensor(rows[e].places)));\n",
                                          "  y.mul_(flat_weights.index_select(0, index_tensor(rows[e].places))"
                                          ".sign());\n")]),
    ("sparse layers one off", CANONICAL, [("(layer + 1) % step == 0", "layer % step == 0")]),
    ("mlp_only_layers ignored", CANONICAL, [("    moe.sparse[static_cast<std::size_t>(layer)] = false;\n", "")]),
    ("bias dropped", SITE, [("bias.defined() ?", "bias.defined() && x.dim() == 0 ?")]),
    ("tied head ignored", CANONICAL, [('{"model.embed_tokens.weight", "model.embed_tokens", true}',
                                       '{"model.embed_tokens.weight", "lm_head", false}')]),
    ("tied head under the wrong name", CANONICAL, [('return {"lm_head.weight", "lm_head", true}',
                                                    'return {"model.embed_tokens.weight", "lm_head", false}')]),
]


def find_libtorch():
    found = glob.glob(os.path.join(ROOT, "build/libtorch/lib/python3*/site-packages/torch"))
    return os.environ.get("STRATA_LIBTORCH") or (found[0] if found else None)


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


class Copy:
    """A copy of the source with a build of the tests against reference outputs, and of no others."""

    def __init__(self, folder, libtorch):
        self.source, self.build_folder = os.path.join(folder, "source"), os.path.join(folder, "build")
        shutil.copytree(ROOT, self.source, ignore=shutil.ignore_patterns("build", ".git"))
        tests = os.path.join(self.source, "tests")
        for test in glob.glob(f"{tests}/unit/**/*_test.cc", recursive=True) + glob.glob(f"{tests}/property/*_test.cc"):
            if os.path.basename(test) != "golden_models_test.cc":
                os.remove(test)
        # As the preset release, so that the compiler cache knows most of it.
        options = ["-DSTRATA_BENCH=OFF", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O2"]
        options += [f"-DLibTorch_ROOT={libtorch}"] if libtorch else []
        configured = run("cmake", "-G", "Ninja", "-S", self.source, "-B", self.build_folder, *options)
        if configured.returncode:
            sys.exit(configured.stdout)

    def build(self):
        return run("ninja", "-C", self.build_folder, "engine_test")

    def test(self):
        return run(os.path.join(self.build_folder, "tests", "engine_test"), "[golden]")

    def write(self, file, text):
        with open(os.path.join(self.source, file), "w", encoding="utf-8") as out:
            out.write(text)


def mutated(text, name, file, replacements):
    for old, new in replacements:
        if text.count(old) != 1:
            sys.exit(f"{name}: this text stands {text.count(old)} times in {file}, expected once:\n{old}")
        text = text.replace(old, new)
    return text


def outcome(copy):
    """What became of a mutated copy, and whether that is what we want."""
    built = copy.build()
    if built.returncode:
        return "DOES NOT COMPILE\n" + "\n".join(re.findall(r".*error:.*", built.stdout)[:5]), False
    tested = copy.test()
    if tested.returncode == 0:
        return "SURVIVED", False
    failed = re.search(r"test cases:.*?(\d+) failed", tested.stdout)
    return f"caught by {failed.group(1)} tests" if failed else f"caught, exit code {tested.returncode}", True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libtorch", default=find_libtorch(), help="site-packages/torch")
    parser.add_argument("--only", default="", help="mutations whose name contains this")
    parser.add_argument("--places", action="store_true", help="build nothing")
    arguments = parser.parse_args()
    chosen = [m for m in MUTATIONS if arguments.only in m[0]]
    texts = {}
    for name, file, replacements in chosen:  # all of them are tried before anything is built
        with open(os.path.join(ROOT, file), encoding="utf-8") as source:
            texts[file] = source.read()
        mutated(texts[file], name, file, replacements)
    if arguments.places:
        return 0

    survivors = []
    with tempfile.TemporaryDirectory(prefix="strata-mutations-") as folder:
        copy = Copy(folder, arguments.libtorch)
        built = copy.build()
        if built.returncode or copy.test().returncode:
            sys.exit("the source as it is does not pass its own tests\n" + built.stdout[-2000:])
        for name, file, replacements in chosen:
            start = time.time()
            copy.write(file, mutated(texts[file], name, file, replacements))
            verdict, caught = outcome(copy)
            copy.write(file, texts[file])
            if not caught:
                survivors.append(name)
            print(f"{name:42} {time.time() - start:5.0f} s  {verdict}", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutations were caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
