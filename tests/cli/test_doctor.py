"""``growlm doctor``: a table, or JSON, and never a failure."""

import json
import subprocess
import sys


def test_the_doctor_names_what_is_there_and_what_to_do(growlm):
    done = growlm("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    assert rows >= {"growlm", "torch", "device", "compiler", "memory", "disk", "[hf]", "[gpu]"}
    assert growlm("doctor", "--quiet").stdout == ""


def test_the_doctor_s_json_says_the_same(growlm):
    rows = [json.loads(line) for line in growlm("doctor", "--json").stdout.splitlines()]
    assert all(row.keys() == {"name", "found", "fix", "optional"} for row in rows)
    table = growlm("doctor").stdout
    assert all(row["name"] in table for row in rows)


def test_the_doctor_leaves_torch_asleep_where_there_is_no_gpu_to_ask_about():
    code = (
        "import sys, pathlib; from growlm.pipeline import doctoring; "
        "doctoring.DRIVER = pathlib.Path('nowhere'); doctoring.shutil.which = lambda _: None; "
        "list(doctoring.findings(pathlib.Path())); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
