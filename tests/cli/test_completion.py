"""``growlm completion``: what the scripts complete, in the shells that are there."""

import shutil
import subprocess

import pytest

from growlm.cli.main import COMMANDS

BASH = shutil.which("bash")


@pytest.fixture
def complete(growlm, tmp_path):
    """Return a function: the words of a command line, the last one begun -> what bash offers."""
    script = tmp_path / "growlm.bash"
    script.write_text(growlm("completion", "bash").stdout)

    def offered(*words):
        typed = f"COMP_WORDS=(growlm {' '.join(words)}); COMP_CWORD={len(words)}"
        code = f'source {script}; {typed}; _growlm; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run([str(BASH), "-c", code], check=True, capture_output=True, text=True)
        return done.stdout.split()

    return offered


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_commands_and_their_options(complete):
    assert complete("gr") == ["grow"]
    assert complete("''") == list(COMMANDS)
    assert complete("grow", "--la") == ["--layer-map", "--layers"]
    assert complete("schema", "--") == ["--help"]
    assert complete("grow", "a") == [], "files are left to the shell"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_told_of_every_command_and_option(growlm, shell):
    script = growlm("completion", shell).stdout
    assert all(name in script for name in COMMANDS)
    assert ("-l layer-map" if shell == "fish" else "--layer-map") in script
    assert (
        shutil.which(shell) is None
        or not subprocess.run([shell, "-n"], input=script, text=True, check=False).returncode
    )


def test_a_shell_that_is_not_known_is_refused(refusal):
    assert refusal("completion", "fisch", code=2) == (
        "expected one of bash, zsh, fish; got 'fisch'. Try fish."
    )
