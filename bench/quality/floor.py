"""KL of the source's own weights with inputs as served: what no choice of weights gets below.

No command of strata makes it. transformers runs the source, with compressed-tensors' own quantizers of inputs in front of
the Linears that the output's config quantizes (tests/oracle/served_activations.py).
"""

import os
import sys
import tempfile

from fixtures import ROOT, read_ids


def inputs_floor(bench, prices, assignment):
    """Nats per token; a text that says why where there is none."""
    try:
        import compressed_tensors  # noqa: F401
        import torch
        import transformers
    except ImportError as error:
        return f"{error.name} is missing: run with build/oracle/bin/python (scripts/setup.sh --oracle)"
    formats = {linear: {"format": assignment[unit.name]} for unit in prices.units for linear in unit.members}
    path, tokens = bench.texts.evaluation()
    return bench.program.remembered(["floor", bench.fixture.name, formats, tokens],
                                    lambda: measure(bench, formats, path, torch, transformers))


def measure(bench, formats, path, torch, transformers):
    sys.path[:0] = [os.path.join(ROOT, "tests", "oracle")]
    import served_activations
    torch.set_num_threads(bench.threads)
    transformers.utils.logging.disable_progress_bar()
    plain, served = (transformers.AutoModelForCausalLM.from_pretrained(bench.fixture.folder, dtype=torch.float32).eval() for _ in range(2))
    with tempfile.TemporaryDirectory() as place:
        out = os.path.join(place, "out")
        bench.render(formats, out)
        served_activations.attach(served, out)
    rows = torch.tensor(read_ids(path)).view(-1, 257)[:, :-1]
    total = 0.0
    with torch.no_grad():
        for block in rows.split(8):
            p, q = (torch.log_softmax(model(input_ids=block, use_cache=False).logits.double(), -1) for model in (plain, served))
            total += float((p.exp() * (p - q)).sum())
    return total / rows.numel()
