import subprocess
import sys

import pytest

from growlm.base.processes import without_script

SCRIPT = """
import multiprocessing, sys
from growlm.base.processes import without_script

print("the script runs", flush=True)
process = multiprocessing.get_context("spawn").Process(target=print, args=("the process runs",))
{start}
process.join()
print(process.exitcode, sys.modules["__main__"].process is process)
"""


def output(tmp_path, start):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(start=start))
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_a_process_does_not_run_the_script_that_started_it(tmp_path):
    assert output(tmp_path, "with without_script():\n    process.start()") == [
        "the script runs",
        "the process runs",
        "0 True",
    ]


def test_without_it_the_script_runs_again_and_the_process_fails(tmp_path):
    lines = output(tmp_path, "process.start()")
    assert lines.count("the script runs") == 2
    assert "the process runs" not in lines


def test_the_script_is_there_again_whatever_happens():
    script = sys.modules["__main__"]
    with pytest.raises(RuntimeError, match="no process"), without_script():
        raise RuntimeError("no process")
    assert sys.modules["__main__"] is script
