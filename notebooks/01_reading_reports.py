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
# # Reading and rewriting reports
#
# Soft labels, hard negatives, graphs and CXR-Align all rest on reading reports. clinclip reads them offline, with rules
# that are data. Nothing here needs a GPU, a model or a download.

# %%
from clinclip.graph import build_graph
from clinclip.text import find_assertions, label_report, negate, omit

report = (
    "There is a small left pleural effusion with adjacent atelectasis, slightly larger than on ___. "
    "No pneumothorax or focal consolidation, but the heart remains mildly enlarged. "
    "Early pneumonia at the left base cannot be excluded."
)

# %% [markdown]
# Every mention, what the report says about it, and the cue that decided it.

# %%
for a in find_assertions(report):
    print(f"{a.text:<24} {a.finding or '-':<28} {a.state:<10} cue={a.cue!r} rule={a.rule}")

# %% [markdown]
# The 14 CheXpert observations. A finding is present, absent, uncertain or *not mentioned*: four states, never a zero
# that could mean two things.

# %%
labels = label_report(report)
for finding, state in labels.items():
    print(f"{finding:<28} {state}")

# %% [markdown]
# A negated twin: every statement of one finding goes, one denial comes in its place, everything else stays byte for
# byte. It is read back before it counts. The record says what changed.

# %%
twin = negate(report, finding="Pleural Effusion", seed=7)
assert twin is not None
print(twin.text, "\n")
for edit in twin.edits:
    print(f"- {edit.old!r}\n+ {edit.new!r}")
changed = {
    f: (twin.labels_before[f].value, s.value) for f, s in twin.labels_after.items() if s != twin.labels_before[f]
}
print(changed)

# %%
left_out = omit(report, finding="Cardiomegaly")
assert left_out is not None
print(left_out.text)

# %% [markdown]
# The report as a graph in the RadGraph schema, from the same rules.

# %%
graph = build_graph(report)
for relation in graph.relations:
    head, tail = graph.entities[relation.head], graph.entities[relation.tail]
    print(f"{head.text} ({head.label}) --{relation.label}--> {tail.text} ({tail.label})")
