"""Every example in a docstring runs as it is shown, and every public function has one."""
import doctest
import importlib
import inspect
import pkgutil
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import ndconv as nd

TOP = Path(__file__).parent.parent
PAGES = [page for page in sorted(TOP.glob("docs/**/*.md")) if ">>>" in page.read_text(encoding="utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = [module.name for module in pkgutil.walk_packages(nd.__path__, "ndconv.") if not module.name.endswith("__main__")]

# whose examples need a package that the module itself does without
NEEDS = {"ndconv.sparse": "scipy"}


def import_or_skip(name):
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        if (missing.name or "").startswith("ndconv"):
            raise
        pytest.skip(f"{name} is for an extra that is not installed: {missing}")  # the core needs NumPy alone


@pytest.mark.parametrize("name", ["ndconv", *MODULES])
def test_examples(name):
    """Compiled modules too: their docstrings are looked through by hand, since doctest's finder skips compiled functions."""
    module = import_or_skip(name)
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"the examples of {name} are for an extra that is not installed")
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    finder = doctest.DocTestFinder()
    names = {"np": np, "nd": nd, "ndconv": nd}
    tests = finder.find(module, name, module=False if not hasattr(module, "__file__") else module, extraglobs=names)
    for key, value in vars(module).items():
        compiled = callable(value) and not inspect.isfunction(value) and not inspect.isclass(value)
        if compiled and getattr(value, "__module__", None) == name:
            tests += finder.find(value, f"{name}.{key}", module=False, globs=vars(module) | names)
    for test in tests:
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize("name", [name for name in nd.__all__ if inspect.isroutine(getattr(nd, name, None))])
def test_every_public_function_has_an_example(name):
    assert ">>>" in getattr(nd, name).__doc__


def test_the_example_of_the_readme(capsys):
    """It prints what the page shows below it."""
    text = (TOP / "README.md").read_text(encoding="utf-8")
    code, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL).groups()
    exec(code, {})
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TOP).as_posix())
def test_examples_of_pages(page):
    """Each page by itself, with nothing imported; a fence ends what an example shows."""
    text = re.sub("^```.*", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0))
    assert runner.failures == 0


def test_the_guide_shows_the_pictures_that_are_drawn(tmp_path):
    """Each is drawn by the script, is small and on some page; its alternative text says what is to be seen."""
    pytest.importorskip("matplotlib", reason="pictures are for the extra docs")
    guide = TOP / "docs" / "guide"
    drawn = runpy.run_path(str(guide / "pictures.py"))
    text = "".join(page.read_text(encoding="utf-8") for page in guide.glob("*.md"))
    shown = re.findall(r"!\[.{20,}?\]\((\w+).png\)", text, re.DOTALL)
    assert sorted(shown) == sorted(draw.__name__ for draw in drawn["PICTURES"]) == sorted(p.stem for p in guide.glob("*.png"))
    assert all(picture.stat().st_size <= 40_000 for picture in guide.glob("*.png"))
    for draw in drawn["PICTURES"]:
        draw()
    drawn["save"](drawn["PICTURES"][0], tmp_path)
    assert (tmp_path / f"{drawn['PICTURES'][0].__name__}.png").read_bytes().startswith(b"\x89PNG")


def test_private_modules_are_imported_by_the_package():
    """A module that nothing imports could be broken unnoticed; these all import."""
    assert len(MODULES) >= 10
    for name in MODULES:
        import_or_skip(name)
