"""Sphinx settings."""

import keras_betavae

project = "keras_betavae"
author = "The keras_betavae authors"
copyright = author
release = keras_betavae.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx-mathjax-offline",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_inherit_docstrings = False
napoleon_use_ivar = True
default_role = "code"
# The tutorials are notebooks without outputs, executed when they have changed.
nb_execution_mode = "cache"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "keras_betavae"
html_static_path = ["static"]
html_css_files = ["wide.css"]
