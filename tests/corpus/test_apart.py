import os
import signal
import subprocess
import sys

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus import apart
from growlm.corpus.apart import Apart


@pytest.fixture
def process(tokenizer):
    found = Apart(tokenizer.to_json())
    yield found
    found.close()


def pid(process):
    return process._worker.process.pid


def test_a_text_has_the_ids_of_the_reference_and_the_process_lives_on(process, tokenizer):
    texts = ["a number comes \u00e9 " * 50, "", "<|endoftext|> is text", "\U0001f469\n\n  x"]
    first, *rest = texts
    assert process.encode(first, name="one").tolist() == tokenizer.encode([first])[0]
    begun = pid(process)
    found = [process.encode(text, name="more").tolist() for text in rest]
    assert found == tokenizer.encode(rest)
    assert pid(process) == begun


def test_after_some_text_another_process_takes_its_place(process, monkeypatch):
    monkeypatch.setattr(apart, "REPLACED_AFTER", 10)
    process.encode("123456", name="one")
    begun = process._worker.process
    process.encode("123456", name="two")
    assert pid(process) == begun.pid
    assert process.encode("123456", name="three").size
    assert pid(process) != begun.pid
    assert not begun.is_alive()


def test_a_process_that_is_killed_is_replaced(process, tokenizer):
    process.encode("one", name="one")
    os.kill(pid(process), signal.SIGKILL)
    assert process.encode("two words", name="two").tolist() == tokenizer.encode(["two words"])[0]


def test_a_text_at_which_processes_die_twice_is_named(process, monkeypatch):
    begun = apart._begun

    def doomed(json):
        worker = begun(json)
        worker.process.kill()
        worker.process.join()
        return worker

    monkeypatch.setattr(apart, "_begun", doomed)
    words = r"lives through encoding in\.txt, 1,234 characters; got one that was killed 2 times"
    with pytest.raises(CorpusError, match=words):
        process.encode("x" * 1234, name="in.txt")


def test_the_process_ends_with_its_owner(process):
    process.encode("one", name="one")
    worker = process._worker.process
    process.close()
    assert not worker.is_alive()
    process.close()


def test_a_process_whose_other_side_is_gone_ends_by_itself(process):
    process.encode("one", name="one")
    process._worker.pipe.close()
    process._worker.process.join(30)
    assert process._worker.process.exitcode == 0


def test_ctrl_c_is_left_to_the_parent(process):
    process.encode("one", name="one")
    begun = pid(process)
    os.kill(begun, signal.SIGINT)
    assert process.encode("two", name="two").size
    assert pid(process) == begun


def test_a_script_without_a_guard_is_not_run_again(tmp_path, tokenizer):
    (tmp_path / "tokenizer.json").write_text(tokenizer.to_json())
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from growlm.corpus.apart import Apart\n"
        f"process = Apart(Path({str(tmp_path / 'tokenizer.json')!r}).read_text())\n"
        'print(len(process.encode("a number comes", name="it")) > 0, flush=True)\n'
        "process.close()\n"
    )
    done = subprocess.run([sys.executable, script], check=False, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
