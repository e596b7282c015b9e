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
# # The ablation: what came out, what did not, and a small one of your own
#
# Nine rows by three seeds at the phantom's default knobs: 4,000 studies, 4 epochs, 0.4 million image parameters, from
# scratch. `make ablation` runs it again (it can be interrupted; `make ablation-quick` takes minutes). Its numbers are
# kept beside this notebook; nothing below repeats them by hand.

# %%
import json
import logging
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

RESULTS = Path("results")  # beside this notebook
ablation = json.loads((RESULTS / "ablation.json").read_text())
titles = {name: metric["title"] for name, metric in ablation["metrics"].items()}
marks = {"above": " ▲", "below": " ▼", None: ""}
cells = {
    row: {titles[name]: f"{cell['mean']:.3f}{marks[cell['clear']]}" for name, cell in columns.items()}
    for row, columns in ablation["rows"].items()
}
print(pd.DataFrame(cells).T.to_string())
print()
print(ablation["legend"])

# %%
SHOWN = ("report_vs_negation", "report_vs_omitted", "auroc_common", "i2t_r10", "label_f1")
rows = list(ablation["rows"])
figure, panels = plt.subplots(1, len(SHOWN), figsize=(13, 3.2), sharey=True, layout="constrained")
for panel, name in zip(panels, SHOWN, strict=True):
    cell = pd.DataFrame({row: ablation["rows"][row][name] for row in rows}).T
    panel.axvline(cell["mean"].iloc[0], color="grey", linewidth=0.9, linestyle="--")
    panel.hlines(rows, cell["low"].astype(float), cell["high"].astype(float), color="#1f6fa8", linewidth=1.6)
    panel.plot(cell["mean"], rows, "o", color="#1f6fa8", markersize=4.5)
    panel.set_title(titles[name], fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)
panels[0].invert_yaxis()
plt.show()

# %% [markdown]
# ## What came out, and what did not
#
# - **Negated reports** lift *report > negation* clearly above the baseline in all three rows that have them (0.608,
#   0.617 and 0.651 against 0.566), and in each pair of rows with and without. *Report > omitted* hardly moves. All
#   stay far below 1: 200 steps from scratch are few.
# - **Soft labels**, text and clinical: AUROC of common findings 0.733 against 0.721 and entity F1 of the retrieved
#   report 0.232 against 0.221, both clear; rare findings unchanged within wide intervals. Text similarity alone does
#   not help, and lowers *report > negation* (0.505): two reports that differ in one "no" look alike to it.
# - **Graph rows**: alone (graph, graph_onehot) they lower every column; with the clinical labels (graph_soft_all,
#   full) AUROC and label F1 are back at the baseline's and entity F1 is above it, while retrieval stays lower.
#
# ## Why negation is not learned better
#
# As one more column among 64 candidates the negated twin starts with 1/65 of the softmax, so it is felt little. As a
# term of its own it starts with one half. A small weight teaches the negation and costs nothing here; the full weight
# teaches it best, and is paid for in classification and retrieval.

# %%
variations = json.loads((RESULTS / "variations.json").read_text())


def show(name: str) -> None:
    """A table of a further experiment, and the command that made it."""
    print(variations[name]["about"])
    print(pd.DataFrame(variations[name]["rows"]).T.map("{:.3f}".format).to_string())
    print(variations[name]["command"])


show("negation_term")

# %% [markdown]
# ## Why the graph stream costs
#
# Graph and report are the same words, so aligning the two is solved at once, teaches nothing about images, and spends
# the shared space on telling wordings apart. Without the text part most of the harm is gone; a smaller weight removes
# less.

# %%
show("graph_streams")

# %% [markdown]
# ## A small ablation of your own
#
# The same objects as on the command line: a configuration, changed term by term, and the Trainer. The sizes here show
# the way in a minute; they cannot tell rows apart.

# %%
import clinclip
from clinclip.phantom import generate_mimic_cxr
from clinclip.prepare.build import BuildOptions, build
from clinclip.prepare.readers.mimic_cxr import MimicOptions, read

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
generate_mimic_cxr("ablation/download", 60, seed=0, image_size=96, workers=1, progress=False)
source = read(MimicOptions(images=Path("ablation/download")), progress=False)
build(source, Path("ablation/data"), BuildOptions(image_size=72, workers=1), progress=False)

# %% [markdown]
# A row is a list of options over one configuration file. `null` takes a term away; a dotted name changes one number.

# %%
BASE = [
    "--config=../configs/default.yaml",  # from the folder of this notebook
    "--data.manifests=[ablation/data]",
    "--data.num_workers=0",
    "--data.image_size=64",
    "--data.batch_size=16",
    "--trainer.max_epochs=2",
    "--trainer.enable_progress_bar=false",
    "--trainer.logger=false",
    "--trainer.callbacks=[]",
    "--trainer.default_root_dir=ablation",
    "--seed_everything=0",
]
ROWS = {
    "full": [],
    "without the graph stream": ["--model.losses.graph=null"],
    "without negated reports": ["--model.losses.contrastive.candidates=null"],
}
found = {}
for row, options in ROWS.items():
    cli = clinclip.build([*BASE, *options], run=False)
    cli.trainer.fit(cli.model, cli.datamodule)
    cli.trainer.save_checkpoint("ablation/last.ckpt")
    model = clinclip.load("ablation/last.ckpt")
    found[row] = {
        task: clinclip.evaluate(model, "ablation/data", task, split="validate", resamples=0).headline[headline].value
        for task, headline in (("zero-shot", "auroc_macro"), ("align", "report_vs_negation"))
    }
print(pd.DataFrame(found).T.round(3).to_string())
