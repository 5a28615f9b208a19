"""Build of the compiled modules; everything else is in pyproject.toml.

pyproject.toml alone cannot say three things: where Cython finds the package's .pxd files, that headers are
dependencies of every module, and that modules and their sources are compiled side by side.
"""
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Cython translates side by side where a new process need not import this file again
TRANSLATORS = CPUS if multiprocessing.get_start_method() == "fork" else 0
HEADERS = sorted(glob("pyx/**/*.h", recursive=True) + glob("pyx/**/*.pxd", recursive=True))
# no debugging information (Python may ask for it): the wheel would be twice as large; symbols stay, for profilers
FLAGS = ["-O3", "-g0", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden", "-Wno-psabi",
         "-Wno-unknown-pragmas",
         # loops that copy a few vectors stay loops: GCC would call memmove
         "-fno-tree-loop-distribute-patterns", "-Wno-ignored-optimization-argument"]


def side_by_side(compile_sources):
    """The compiler's method `compile`, each of its sources in a thread: the instruction sets of _runtime take minutes each."""
    def compile_each(sources, **options):
        with ThreadPoolExecutor(CPUS) as pool:
            lists = pool.map(lambda source: compile_sources([source], **options), sources)
            return [path for objects in lists for path in objects]
    return compile_each


class BuildExt(build_ext):
    def initialize_options(self):
        super().initialize_options()
        self.parallel = CPUS

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            # the vector types are GNU C: clang-cl compiles them, cl does not
            self.compiler.initialize()
            self.compiler.cc = "clang-cl"
            flags = ["/O2", "/clang:-std=gnu11", "/clang:-ffp-contract=fast", "-Wno-everything"]
        else:
            flags = FLAGS
        for extension in self.extensions:
            extension.extra_compile_args = flags
        self.compiler.compile = side_by_side(self.compiler.compile)
        super().build_extensions()


def extension(path):
    name = os.path.splitext(os.path.basename(path))[0]
    sources = [path]
    if name == "_runtime":
        sources += sorted(glob("pyx/runtime/*.c") + glob("pyx/isa/*.c"))
    return Extension(f"ndconv.{name}", sources, include_dirs=["pyx/include", "pyx"], depends=HEADERS)


# the kernels of all instruction sets take longest: they begin first
MODULES = sorted(glob("pyx/ndconv/*.pyx"), key=lambda path: ("_runtime" not in path, path))

setup(
    ext_modules=cythonize([extension(p) for p in MODULES], include_path=["pyx"],
                          nthreads=TRANSLATORS, compiler_directives={"language_level": 3}, build_dir="build/cython"),
    cmdclass={"build_ext": BuildExt},
)
