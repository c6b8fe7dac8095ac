"""Outputs of the program in vLLM's own engine: the CPU build of vLLM 0.32, in the venv of scripts/setup.sh --vllm.

    vllm_test.py STRATA [--whole] [CASE...]

vLLM reads the config, chooses the scheme of every layer, makes its parameters and loads them; only the products that its
CPU build has no kernel for are emulated (vllm_oracle/linears.py, experts.py). Everything runs in float32. For each case:
  1. log-probabilities over the whole vocabulary equal those of `strata logits`: with inputs left alone, as older GPUs
     serve (max |difference| <= 2e-3), and with inputs as `--activations served --runtime vllm` says (mean KL <= 1e-4:
     a code at a rounding edge flips now and then; <= 2e-3 and median <= 1e-5 where trained routers then choose others);
  2. every quantized Linear gives the product of Strata's own quantized input, away from rounding edges, and of the
     weight that numpy decodes from the file;
  3. the experts' weights are those that numpy decodes from the file, whether or not a prompt reaches them;
  4. with an FP8 cache the mean KL is <= 4e-3 (8e-3 with quantized inputs), and > 1 when its scales are divided by 64, so that they are known to count;
  5. what `verify` says that vLLM does not load is refused, or serves another model (KL above 0.01).
Without --whole every format once on a dense MLP, on attention and on experts, some heads, both ways to store a tied model,
and a cache.
"""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
PYTHON = os.path.join(ROOT, "build", "vllm", "bin", "python")
LOG_PROB, KL, CACHE_KL, BROKEN_CACHE_KL = 2e-3, 1e-4, 4e-3, 1.0
# Where a code at a rounding edge makes a trained router choose other experts: at few positions, so their median is small.
ROUTED_KL, ROUTED_MEDIAN_KL = 2e-3, 1e-5
QUANTIZED_CACHE_KL = 8e-3  # codes of inputs that flip beside the cache's own


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def enter_venv():
    """The same script again, by the venv's python."""
    if os.uname().machine != "x86_64":
        skip("needs an x86-64 processor")
    if not os.access(PYTHON, os.X_OK):
        skip("no vLLM venv; scripts/setup.sh --vllm makes it")
    if os.path.realpath(sys.prefix) != os.path.realpath(os.path.join(ROOT, "build", "vllm")):
        os.execv(PYTHON, [PYTHON, *sys.argv])
    # One thread, since other tests run beside; without Dynamo, which would compile C++ for minutes.
    os.environ.update(VLLM_CPU_KVCACHE_SPACE="1", VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1",
                      VLLM_LOGGING_LEVEL="ERROR", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1",
                      VLLM_CPU_OMP_THREADS_BIND="nobind", TORCHDYNAMO_DISABLE="1")


if __name__ == "__main__":
    enter_venv()

import numpy as np
from safetensors.numpy import load_file, save_file

import numpy_decoder
from vllm_oracle import cases, checks, experts, inputs, linears, tiny_model
from vllm_oracle.session import Session


class Oracle:
    def __init__(self, strata, work):
        self.strata, self.work, self.failures = strata, work, []
        self.emulation = inputs.Emulation()
        linears.install(self.emulation)
        experts.install(self.emulation)
        self.probe = checks.Probe(strata, self.run, work)

    def run(self, arguments):
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def check(self, case, what, value, good):
        print(f"  {what:64} {value:.2e}  {'ok' if good else 'FAILED'}", flush=True)
        if not good:
            self.failures.append(f"{case.name}: {what}: {value:.3e}")

    def tokens(self, model, rows, columns, seed):
        """Random ids, as a file and as an array."""
        vocabulary = json.load(open(os.path.join(model, "config.json")))["vocab_size"]
        ids = np.random.default_rng(seed).integers(0, vocabulary, (rows, columns))
        path = os.path.join(self.work, f"ids.{seed}.safetensors")
        save_file({"input_ids": ids}, path)
        return path, ids

    def quantize(self, case, model):
        out = os.path.join(self.work, case.name.replace(" ", "-"))
        calibration, _ = self.tokens(model, 8, 96, seed=1)
        self.run([self.strata, "quantize", model, "-o", out, *case.flags, "--dataset", calibration, "--nsamples", "8",
                  "--seqlen", "96", "-q"])
        facts = json.loads(self.run([self.strata, "verify", out, "--source", model, "--json"]))["facts"]
        if not facts["vLLM"].startswith("yes"):
            raise RuntimeError(f"verify says: vLLM {facts['vLLM']}")
        return out

    def log_probs(self, out, path, *flags):
        logits = os.path.join(self.work, "logits.safetensors")
        self.run([self.strata, "logits", out, "--tokens", path, "-o", logits, "--decode", "f32", "--force", "-q", *flags])
        return checks.log_softmax(load_file(logits)["logits"])[:, :-1]

    def check_case(self, case, model):
        out = self.quantize(case, model)
        path, ids = self.tokens(model, 2, 48, seed=2)
        with Session(out) as session:
            if case.weights:
                self.emulation.quantizes = False
                ours, theirs = self.log_probs(out, path, "--activations", "none"), session.log_probs(ids)
                worst = float(np.abs(ours - theirs).max())
                self.check(case, "inputs left alone: max |difference of log p|", worst, worst <= LOG_PROB)
                self.emulation.quantizes = True
            if case.served:
                ours, theirs = self.log_probs(out, path, "--activations", "served"), session.log_probs(ids)
                apart = checks.kl_of_positions(ours, theirs)
                self.check(case, "inputs as served: mean KL", apart.mean(), apart.mean() <= (ROUTED_KL if case.routed else KL))
                if case.routed:
                    median = float(np.median(apart))
                    self.check(case, "inputs as served: median KL", median, median <= ROUTED_MEDIAN_KL)
            tensors = numpy_decoder.read_checkpoint(out)
            groups = json.load(open(os.path.join(out, "config.json")))["quantization_config"]["config_groups"]
            results = checks.linears(session, tensors, groups, self.probe) + checks.experts(session, tensors, groups)
        for kind in ("codes of its input", "product", "experts"):
            found = [result for result in results if kind in result[0]]
            bad = [result for result in found if not result[1] <= result[2]]
            if found:
                worst = max(found, key=lambda result: result[1])
                self.check(case, f"{len(found)} x {kind}: worst is {worst[0].split(':')[0]}"[:64], worst[1], not bad)
        if not results:
            self.failures.append(f"{case.name}: nothing was compared")

    def check_cache(self, case, model):
        out = self.quantize(case, model)
        path, ids = self.tokens(model, 2, 48, seed=2)
        ours = self.log_probs(out, path, "--activations", "served")
        with Session(out) as session:
            mean = checks.kl(ours, session.log_probs(ids))
        self.check(case, "FP8 cache: mean KL", mean, mean <= (QUANTIZED_CACHE_KL if case.served else CACHE_KL))
        cases.scale_cache(out, 1 / 64)
        with Session(out) as session:
            broken = checks.kl(ours, session.log_probs(ids))
        self.check(case, "the same with scales off by 1/64: mean KL, above 1", broken, broken > BROKEN_CACHE_KL)

    def check_refused(self, case, model):
        """What `verify` says vLLM does not load: it says so itself, or serves another model without a word."""
        out = os.path.join(self.work, case.name.replace(" ", "-"))
        self.run([self.strata, "quantize", model, "-o", out, *case.flags, "-q"])
        said = json.loads(self.run([self.strata, "verify", out, "--source", model, "--json"]))["facts"]["vLLM"]
        path, ids = self.tokens(model, 2, 48, seed=2)
        ours, apart, why = self.log_probs(out, path, "--activations", "served"), np.inf, ""
        try:
            with Session(out) as session:
                apart, why = checks.kl(ours, session.log_probs(ids)), "serves another model"
        except Exception as error:
            why = f"refuses: {type(error).__name__} {error}".splitlines()[0]
        self.check(case, f"verify: {said[:20]}; vLLM {why}"[:64], apart, said.startswith("no") and apart > 100 * KL)

    def check_all(self, chosen):
        made = {}
        for case in chosen:
            print(case.name, flush=True)
            try:
                model = case.model
                if isinstance(model, int):  # layers of a tiny one
                    if (model, case.tied) not in made:
                        made[model, case.tied] = os.path.join(self.work, f"tiny-{model}-{case.tied}")
                        tiny_model.write(made[model, case.tied], model, case.tied)
                    model = made[model, case.tied]
                getattr(self, "check_" + case.kind)(case, model)
            except Exception as error:
                self.failures.append(f"{case.name}: {type(error).__name__}: {str(error)[:400]}")
                print(f"  FAILED: {self.failures[-1]}", flush=True)


def main():
    arguments = [a for a in sys.argv[2:] if a != "--whole"]
    models = cases.models_at_hand(ROOT)
    chosen = cases.whole(models) if "--whole" in sys.argv else cases.brief(models)
    chosen = [case for case in chosen if not arguments or case.name in arguments]
    with tempfile.TemporaryDirectory() as work:
        oracle = Oracle(os.path.abspath(sys.argv[1]), work)
        oracle.check_all(chosen)
    if oracle.failures or not chosen:
        sys.exit("\n".join(["FAILED", *oracle.failures]))
    print(f"vLLM loads all {len(chosen)} outputs and says what Strata predicts")


if __name__ == "__main__":
    main()
