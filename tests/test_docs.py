"""Every example in a docstring runs as it is shown, and every public function has one."""
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import ndconv as nd

MODULES = [module.name for module in pkgutil.walk_packages(nd.__path__, "ndconv.") if not module.name.endswith("__main__")]


def import_or_skip(name):
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        if (missing.name or "").startswith("ndconv"):
            raise
        pytest.skip(f"{name} is for an extra that is not installed: {missing}")


@pytest.mark.parametrize("name", ["ndconv", *MODULES])
def test_examples(name):
    """Compiled modules too: their docstrings are looked through by hand, since doctest's finder skips compiled functions."""
    module = import_or_skip(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
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
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    code, shown = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.DOTALL).groups()
    exec(code, {})
    assert capsys.readouterr().out == shown


def test_private_modules_are_imported_by_the_package():
    """A module that nothing imports could be broken unnoticed; these all import."""
    assert len(MODULES) >= 10
    for name in MODULES:
        import_or_skip(name)
