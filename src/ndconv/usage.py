"""What the commands of ndconv share: mistakes of the user, optional packages, files that are written whole."""
import importlib.util
import os

from ndconv.files import replace_file

EXTRAS = {"rich": "cli", "matplotlib": "plot", "PIL": "image"}


class UsageError(Exception):
    """Something that the user can put right; the message is all they need to see."""


def need(module, purpose):
    """UsageError unless an optional package is installed."""
    if importlib.util.find_spec(module) is None:
        package = "Pillow" if module == "PIL" else module
        raise UsageError(f"{purpose} needs {package}: pip install 'ndconv[{EXTRAS[module]}]'")


def check_output(path):
    """UsageError where no file can be written, before any work is done."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"cannot write {path}: there is no folder {folder}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"cannot write {path}: it is not a plain file")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {path}: no permission in {folder}")


def write_file(path, write):
    """replace_file, with an error that the user can put right."""
    try:
        replace_file(path, write)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}") from None
