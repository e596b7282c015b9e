"""Cached token batches against tokenizer calls, and padding of a batch whose composition stays.

Reports are synthetic with the lengths of chest X-ray reports (log-normal, mean 79 tokens, 95 % below 167). The peers'
way is the Hugging Face tokenizer, once a sample in ``__getitem__`` or once a batch in the collate function; ours is
what ``StudyDataset`` does. Both give the same ids.
"""

from __future__ import annotations

import numpy as np
import torch

from clinclip import draws
from clinclip.data.token_store import TokenStore, build
from clinclip.text.tokens import Tokenizer
from tests.benchmarks.harness import Row, interleaved

REPORTS, BATCH, MAX_TOKENS = 2_000, 512, 256
TEXT = (
    "the lungs are clear heart size is normal no pleural effusion or pneumothorax small left right basal opacity may "
    "represent atelectasis pneumonia cannot be excluded mild cardiomegaly with pulmonary vascular congestion tip of "
    "endotracheal tube terminates above carina mediastinal contours unremarkable degenerative changes thoracic spine "
    "compared to prior study interval increase in bilateral interstitial edema retrocardiac consolidation stable"
)
WORDS = TEXT.split()


def reports(count: int, seed: int = 0) -> list[str]:
    """Texts whose token counts follow the published distribution."""
    rng = np.random.default_rng(seed)
    # mean 79 and 95 % quantile 167 give sigma 0.62 and mu 4.18
    lengths = np.maximum(4, rng.lognormal(4.18, 0.62, count)).astype(int)
    return [" ".join(rng.choice(WORDS, n)) + "." for n in lengths]


def computed_over_real(store: TokenStore, rows: np.ndarray, buckets: int) -> float:
    """Tokens that a text tower computes on this batch, over real ones, when it sorts by length and cuts into pieces.

    The batch is the one that the loss sees; sorting happens inside the tower (``text_encoder.length_buckets``).
    """
    mask = store.batch(rows).mask
    lengths = mask.sum(dim=1)
    pieces = lengths.argsort(stable=True).tensor_split(buckets)
    computed = sum(len(piece) * int(lengths[piece].max()) for piece in pieces)
    return computed / int(lengths.sum())


def run() -> list[Row]:
    """Measure."""
    from transformers import PreTrainedTokenizerFast

    torch.set_num_threads(1)
    texts = reports(REPORTS)
    tokenizer = Tokenizer.train(texts, vocab_size=2048)
    store = build(texts, tokenizer, MAX_TOKENS)
    theirs = PreTrainedTokenizerFast(tokenizer_object=tokenizer._backend, pad_token="[PAD]")
    rows = draws.permutation(0, 0, draws.ORDER, REPORTS)[:BATCH]
    batch = [texts[i] for i in rows]

    def a_sample() -> torch.Tensor:
        options = {"padding": "max_length", "truncation": True, "max_length": MAX_TOKENS, "return_tensors": "pt"}
        return torch.cat([theirs(text, **options)["input_ids"] for text in batch])

    def a_batch() -> torch.Tensor:
        return theirs(batch, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")["input_ids"]

    def ours() -> torch.Tensor:
        return store.batch(rows).token_ids

    width = ours().shape[1]
    assert torch.equal(ours(), a_batch())
    assert torch.equal(ours(), a_sample()[:, :width])
    assert not a_sample()[:, width:].any()
    out = []
    for name, peer, goal in (("a sample", a_sample, 100), ("a batch", a_batch, 50)):
        mine, their = interleaved(ours, peer, repeats=5)
        out.append(Row(f"token batch of {BATCH}, against one tokenizer call {name}", mine, their, their / mine, goal))
    mean = {
        buckets: float(
            np.mean(
                [
                    computed_over_real(store, draws.permutation(0, e, draws.ORDER, REPORTS)[:BATCH], buckets)
                    for e in range(8)
                ]
            )
        )
        for buckets in (1, 8, 32)
    }
    for buckets, goal in ((1, 4.0), (32, 1.05)):
        note = "dynamic padding only" if buckets == 1 else f"{buckets} pieces by length inside the tower"
        out.append(
            Row("tokens computed / real, batch unchanged", mean[buckets], 1.0, mean[buckets], goal, "", "smaller", note)
        )
    return out
