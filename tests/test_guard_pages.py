"""No kernel touches a byte outside its arrays: guarded.py in a process of its own, whose death is a failure with a name."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ndconv as nd


@pytest.mark.skipif(sys.platform == "win32", reason="guarded.py protects pages with mprotect")
@pytest.mark.parametrize("isa", nd.isas())
def test_arrays_flush_against_unmapped_pages(isa, tmp_path):
    journal = tmp_path / "journal"
    script = Path(__file__).with_name("guarded.py")
    source = Path(nd.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(script.parent)])}
    run = subprocess.run([sys.executable, str(script), isa, str(journal)], capture_output=True, text=True, env=environment,
                         timeout=600)
    call = journal.read_text().rstrip() if journal.exists() else "before the first call"
    end = "died of signal" if run.returncode < 0 else "exit"
    assert run.returncode == 0, f"{isa}: {call}: {end} {run.returncode}\n{run.stderr}"
    assert not run.stderr, f"{isa}: something was printed:\n{run.stderr[:2000]}"
    assert int(run.stdout) > 10_000
