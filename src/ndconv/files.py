"""Small JSON files that are kept from run to run: written whole or not at all, read with distrust."""
import contextlib
import json
import os
import platform


def cpu_name():
    """The processor's own name where the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def replace_file(path, write):
    """Let write(file) fill a new binary file beside path and put it in its place: nobody ever sees half a file. OSError."""
    target = os.path.realpath(path)
    part = f"{target}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            write(file)
        os.replace(part, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)


def write_json(path, value):
    replace_file(path, lambda file: file.write(json.dumps(value, indent=1, allow_nan=False).encode()))


def read_json(path, most_bytes):
    """What a JSON file of at most that size holds. ValueError says what is wrong with it; FileNotFoundError if there is none."""
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise ValueError("it is not a plain file")
        with open(path, "rb") as file:
            data = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from None
    if len(data) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes} bytes")
    try:
        return json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from None


def _refuse(name):
    raise ValueError(f"{name} is no number here")


def check_head(value, kind, version, **own):
    """ValueError unless `value` is an object of this format, version and, for each of `own`, of this machine and library."""
    if not isinstance(value, dict) or value.get("format") != kind:
        raise ValueError(f"it is no file of {kind}")
    if type(value.get("version")) is not int or value["version"] != version:
        raise ValueError(f"it has version {value.get('version')!r} of the format, not {version}")
    for name, want in own.items():
        if value.get(name) != want:
            raise ValueError(f"it is of {name} {value.get(name)!r}, not {want!r}")
