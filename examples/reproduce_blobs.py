# %% [markdown]
# # Reproducing a figure of Burgess et al. 2017
#
# Gaussian blobs that differ only by their position. At β = 1 the latents mix the two coordinates.
# In the paper, at β = 150 two latents encode one coordinate each; here this holds with one of three
# seeds. `keras-betavae reproduce` does the same from the command line, and has other experiments.

# %%
from pathlib import Path

from keras_betavae.experiments.reproduction import reproduce

BUDGET = "hour"  # "smoke" takes a minute; "day" and "paper" take far longer.

page = reproduce("burgess-blobs", Path("reproduction") / "burgess-blobs", budget=BUDGET)

# %%
print(page.read_text(encoding="utf-8"))
