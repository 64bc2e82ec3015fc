"""Sphinx's settings. ``make docs`` builds ``site/`` by them; a warning or a broken link ends the build."""

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]

project = "Wardround"
author = "The Wardround maintainers"
version = release = _PROJECT["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}

# Links may name a heading of another page, as they do where the pages are read as files.
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True  # a default is shown as it is written, whatever it holds
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

html_theme = "alabaster"
html_theme_options = {
    "description": _PROJECT["description"],
    "page_width": "68rem",
    "body_max_width": "48rem",
}
html_show_copyright = False
html_copy_source = False
