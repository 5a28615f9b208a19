"""The C kernels by themselves: natively, with the vectors of an instruction set this CPU may lack, and for AArch64 under
emulation. tests/check*.c compare each one with plain loops."""
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
FLAGS = ["-Og", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi", "-I", str(TOP / "pyx/include")]
FILES = ["", "_kernels", "_depthwise", "_depthwise_point", "_finish", "_separable", "_tap_sums", "_local", "_fft", "_spectrum",
         "_fft_rows", "_points", "_winograd", "_image", "_pool", "_pool_index", "_pool_walk", "_pool_values", "_pool_weigh",
         "_pool_route", "_pool_turn", "_convert", "_products"]
# name: compiler, what runs the program, table, source
BUILDS = {
    "scalar": ("cc", [], "scalar", "pyx/isa/scalar.c"),
    "wide": ("cc", [], "wide", "tests/check_wide.c"),
    "neon": ("aarch64-linux-gnu-gcc", ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"], "neon", "pyx/isa/neon.c"),
}


@pytest.mark.parametrize("build", BUILDS)
def test_kernels_equal_plain_loops(build, tmp_path):
    compiler, runner, table, source = BUILDS[build]
    for tool in [compiler, *runner[:1]]:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")  # the kernels of other machines need a cross compiler and an emulator
    program = tmp_path / "check"
    sources = [str(TOP / f"tests/check{name}.c") for name in FILES] + [str(TOP / source)]
    command = [compiler, *FLAGS, f"-DTABLE=nd_kernels_{table}", *sources, "-lm", "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    run = subprocess.run([*runner, program], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{table}: 0 failures" in run.stdout
