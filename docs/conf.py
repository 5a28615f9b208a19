"""Sphinx: python -m sphinx -W -b html docs docs/_build (extra `docs`)."""
import re
from types import ModuleType

import ndconv
import ndconv.filters

project = "ndconv"
author = "the ndconv authors"
copyright = author
release = version = ndconv.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
napoleon_use_rtype = False
napoleon_custom_sections = ["Other dtypes"]
default_role = "py:obj"
html_theme = "alabaster"
html_theme_options = dict(description="N-dimensional convolution and pooling for NumPy", page_width="1100px")

# Titles of the API page and the modules whose public names stand below them; gradients are told by their names.
GROUPS = {
    "Convolution": ("conv", "transpose", "local", "tiled", "streaming", "count"),
    "Gradients": ("gradient",),
    "Pooling and resizing": ("pool", "lp", "weighted", "adaptive", "resize"),
    "Signals, images, matrices": ("signal", "match", "columns", "sparse"),
    "Plans and selection": ("plan", "prepare", "select", "tune", "choices", "machine"),
    "Run time": ("runtime", "_runtime"),
}


def group_of(name, value):
    if name.endswith(("_backward", "_grad")):
        return "Gradients"
    return next((title for title, modules in GROUPS.items() if value.__module__.removeprefix("ndconv.") in modules), "More")


def directive_of(name, value):
    if callable(value) and not isinstance(value, type):
        return f".. autofunction:: ndconv.{name}\n"
    if not isinstance(value, type):  # an object that the package has one of
        return f".. autoclass:: {type(value).__module__}.{type(value).__name__}\n   :members:\n"
    members = "" if issubclass(value, tuple) else "   :members:\n"
    return f".. auto{'exception' if issubclass(value, Exception) else 'class'}:: ndconv.{name}\n{members}"


def add_public_names(app, docname, source):
    """The body of api.md: every name in ndconv.__all__, so that a new one needs no edit here, and the filters."""
    if docname != "api":
        return
    public = {name: getattr(ndconv, name) for name in sorted(ndconv.__all__, key=str.lower)}
    parts = {title: [] for title in (*GROUPS, "More")}
    for name, value in public.items():
        if not isinstance(value, ModuleType):
            parts[group_of(name, value)].append(directive_of(name, value))
    parts["Filters"] = [".. automodule:: ndconv.filters\n   :members:\n"]
    for title, directives in parts.items():
        if directives:
            source[0] += "\n".join((f"\n## {title}\n", "```{eval-rst}", *directives, "```\n"))


def as_markup(app, what, name, obj, options, lines):
    """Docstrings are plain text but for ``formulas`` and `names`: a star or a bar outside those is itself, and paragraphs of
    "name : what it is" keep their lines. It runs before napoleon, which reads the sections that are underlined."""
    sections = any(re.match(r"\s*-{3,}$", line) for line in lines)
    text, described = [], False
    for line in lines:
        if not line.lstrip().startswith((">>>", "...", "*", "+")):
            parts = re.split("(``.*?``)", line)
            line = "".join(part if part.startswith("``") else re.sub(r"([*|])", r"\\\1", part) for part in parts)
        if re.match(r"\w+(, \w+)* : ", line) and not sections:
            text += [""] * (not described) + ["| " + line]
            described = True
        else:
            described = described and bool(line)
            text.append("  " * described + line)
    lines[:] = text


def setup(app):
    app.connect("source-read", add_public_names)
    app.connect("autodoc-process-docstring", as_markup, priority=400)
