"""A checkpoint in vLLM's engine, in this process and in float32; many one after another."""

import numpy as np
import torch
from vllm import LLM, SamplingParams
from vllm.distributed.parallel_state import cleanup_dist_env_and_memory


class Session:
    """Use as a context. `folder` is loaded as `vllm serve` would, only in float32 and eagerly."""

    def __init__(self, folder):
        try:
            self.llm = LLM(model=folder, dtype="float32", enforce_eager=True, skip_tokenizer_init=True, max_model_len=128,
                           max_num_seqs=2, max_logprobs=-1, logprobs_mode="raw_logprobs", disable_log_stats=True,
                           enable_prefix_caching=False, use_tqdm_on_load=False)
        except Exception:
            cleanup_dist_env_and_memory()  # what a model that was refused leaves
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.llm.llm_engine.engine_core.shutdown()
        del self.llm
        cleanup_dist_env_and_memory()

    def log_probs(self, ids):
        """log p of every token of the vocabulary after each position of ids [rows, columns] but the last: float64
        [rows, columns - 1, vocabulary]."""
        parameters = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=-1, detokenize=False, flat_logprobs=True)
        answers = self.llm.generate([{"prompt_token_ids": [int(i) for i in row]} for row in ids], use_tqdm=False,
                                    sampling_params=parameters)
        rows = []
        for answer in answers:
            flat = answer.prompt_logprobs
            for begin, end in zip(flat.start_indices[1:], flat.end_indices[1:]):
                row = np.full(len(set(flat.token_ids[begin:end])), np.nan)
                row[np.array(flat.token_ids[begin:end])] = flat.logprobs[begin:end]
                rows.append(row)
        return np.stack(rows).reshape(len(ids), ids.shape[1] - 1, -1)

    def modules(self):
        """The layers that vLLM built, by its names."""
        return dict(self.llm.apply_model(lambda model: list(model.named_modules()))[0])

    @staticmethod
    def product(layer, x):
        """What one Linear gives for x [rows, columns], without its bias."""
        with torch.inference_mode():
            return layer.quant_method.apply(layer, torch.from_numpy(x)).numpy()
