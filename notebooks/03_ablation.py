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
# # An ablation in a notebook
#
# The same objects as on the command line: a configuration, changed term by term, and the Trainer. Phantom studies in
# MIMIC-CXR's layout stand for the data, so nothing has to be downloaded. The sizes here show the way in a minute;
# `make ablation` runs all nine rows with three seeds at a size at which differences can be told from chance.

# %%
import logging
import warnings

import matplotlib.pyplot as plt
import pandas as pd

from clinclip.__main__ import main
from clinclip.cli import build
from clinclip.files import config_file
from clinclip.phantom import generate_mimic_cxr

STUDIES, EPOCHS = 60, 2  # with 4000 and 8 the rows differ

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
made = generate_mimic_cxr("ablation/download", STUDIES, seed=0, image_size=96, workers=1, progress=False)
status = main(
    ["prepare", "mimic-cxr", "--images", "ablation/download", "--out", "ablation/data", "--image-size", "72", "--quiet"]
)
assert status == 0
print(made.splits)

# %% [markdown]
# A row is a list of options over one configuration file. `null` takes a term away; a dotted name changes one number.

# %%
BASE = [
    f"--config={config_file('default.yaml')}",
    "--data.manifests=[ablation/data]",
    "--data.num_workers=0",
    "--data.image_size=64",
    "--data.batch_size=16",
    f"--trainer.max_epochs={EPOCHS}",
    "--trainer.enable_progress_bar=false",
    "--trainer.logger=false",
    "--trainer.callbacks=[]",
    "--trainer.default_root_dir=ablation",
    "--seed_everything=0",
]
ROWS = {
    "all three objectives": [],
    "without the graph stream": ["--model.losses.graph=null", "--model.targets.default.graph=null"],
    "without negated reports": ["--model.losses.contrastive.candidates=null"],
}


def run(options: list[str]) -> dict[str, float]:
    """Train one row; its validation metrics."""
    cli = build([*BASE, *options], run=False)
    cli.trainer.fit(cli.model, cli.datamodule)
    return {name: float(value) for name, value in cli.trainer.callback_metrics.items() if name.startswith("val/")}


# %%
SHOWN = {
    "val/zero_shot/auroc_macro": "zero-shot AUROC",
    "val/retrieval/i2t_r5": "R@5",
    "val/align/report_vs_negation": "report > negation",
}
results = pd.DataFrame({name: run(options) for name, options in ROWS.items()}).T[list(SHOWN)].rename(columns=SHOWN)
print(results.round(3).to_string())

# %% [markdown]
# How often each row prefers a report to its negated twin. Few images and one short training: no order of the bars means
# anything here. The table of `make ablation` has intervals and several seeds.

# %%
figure, axis = plt.subplots(figsize=(8, 2.6))
axis.barh(list(results.index), results["report > negation"], color="#4477aa")
axis.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
axis.set_xlim(0, 1)
axis.invert_yaxis()
axis.set_xlabel("report preferred to its negated twin, validation split")
figure.tight_layout()
plt.show()
