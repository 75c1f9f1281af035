# %% [markdown]
# # A figure of Burgess et al. 2017, made again
#
# Gaussian blobs differ by their position alone. At β 1 the latents mix the two coordinates, at
# β 150 two latents hold one each, and the others nothing. `keras-betavae reproduce` does the
# same from the command line, and has the papers' other tables and figures.

# %%
from pathlib import Path

from keras_betavae.experiments.reproduction import reproduce

BUDGET = "hour"  # "smoke" takes a minute, "day" and "paper" what they say.

page = reproduce("burgess-blobs", Path("reproduction") / "burgess-blobs", budget=BUDGET)

# %%
print(page.read_text(encoding="utf-8"))
