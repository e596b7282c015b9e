# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Soft targets, term by term
#
# Losses are plain objects that work without Lightning: targets x criterion + candidates. Here on a made-up batch with
# the same types as a real one.

# %%
import matplotlib.pyplot as plt
import torch

from clinclip.losses import (
    ClinicalSimilarity,
    Contrastive,
    EditedReports,
    FixedGate,
    QuantileGate,
    SoftTargets,
    TextSimilarity,
)
from clinclip.testing import random_batch, random_embeddings

batch = random_batch(size=24, seed=3, twins=1, graphs=False, duplicates=0.3)
embeddings = random_embeddings(batch, seed=3)

# %% [markdown]
# One line changes the soft labels of every term that names them. `mix` is lambda: the share that the pair gives away.

# %%
mixtures = {
    "one-hot (plain CLIP)": SoftTargets(mix=0.0),
    "clinical": SoftTargets(clinical=ClinicalSimilarity(gate=FixedGate(0.5)), mix=0.5),
    "textual + clinical": SoftTargets(
        text=TextSimilarity(gate=QuantileGate(0.9)), clinical=ClinicalSimilarity(gate=FixedGate(0.5)), mix=0.5
    ),
}
figure, axes = plt.subplots(1, len(mixtures), figsize=(12, 4))
for axis, (name, mixture) in zip(axes, mixtures.items(), strict=True):
    targets = mixture.prepare(embeddings, batch)
    matrix = targets.matrix()
    assert torch.allclose(matrix.sum(1), torch.ones(len(batch)), atol=1e-5)
    axis.imshow(matrix, cmap="magma", vmin=0, vmax=1)
    axis.set_title(f"{name}\npair share {float(targets.logs()['pair_share']):.2f}")
    axis.set_xlabel("report")
    axis.set_ylabel("image")
figure.tight_layout()
plt.show()

# %% [markdown]
# The same term with and without soft labels and edited reports. An extra candidate can only raise the loss.

# %%
soft = mixtures["textual + clinical"].prepare(embeddings, batch)
for name, term, targets in [
    ("CLIP", Contrastive(), None),
    ("+ soft labels", Contrastive(targets="default"), {"default": soft}),
    ("+ own edited report", Contrastive(candidates=EditedReports(columns="own")), None),
    ("+ all edited reports", Contrastive(candidates=EditedReports(columns="all")), None),
]:
    print(f"{name:<24} {float(term(embeddings, batch, targets).value):.4f}")
