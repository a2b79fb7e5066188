"""``growlm generate``: text as it comes, or all of it as JSON."""

import json

import pytest

FINAL = "run/stages/grown/training/final"


@pytest.fixture
def generate(growlm, finished):
    return lambda *words: growlm("generate", finished / FINAL, "--tokens", 5, "--go-on", *words)


def test_the_prompt_is_written_on_and_what_it_took_is_told_apart(generate):
    done = generate("--prompt", "The river")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The river")
    assert done.stdout.endswith("\n")
    assert done.stderr.startswith("5 tokens, ")
    assert done.stderr.endswith(" tokens/s, ended at the number asked for\n")


def test_with_json_each_prompt_is_an_object_with_its_tokens(generate, finished):
    done = generate("--prompt", "The river", "--prompt", "", "--json", "--seed", 3)
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["prompt"], second["prompt"]) == ("The river", "")
    for each in (first, second):
        assert each["checkpoint"] == str(finished / FINAL)
        assert each["seed"] == 3
        assert each["end"] == "tokens"
        assert each["tokens_per_second"] > 0
        assert "".join(token["text"] for token in each["tokens"]) == each["text"]
        assert len(each["tokens"]) == 5
        assert all(len(token["alternatives"]) == 5 for token in each["tokens"])
    shown = generate("--prompt", "The river", "--seed", 3).stdout
    assert shown == f"The river{first['text']}\n"


def test_several_prompts_are_told_one_after_the_other(generate):
    both = generate("--prompt", "The river", "--prompt", "A garden", "--greedy").stdout
    alone = [generate("--prompt", each, "--greedy").stdout for each in ("The river", "A garden")]
    assert both == "".join(alone)


def test_a_terminal_is_told_nothing_that_it_would_obey(generate):
    done = generate("--prompt", "\x1b[2J\x07", "--greedy")
    assert done.stdout.startswith("\u241b[2J\u2407")
    assert "\x1b" not in done.stdout
    assert json.loads(generate("--prompt", "\x1b", "--json").stdout)["prompt"] == "\x1b"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--top-p", "2"], 2, "expected top-p above 0 and at most 1; got 2. "),
        (["--top-k", "0"], 2, "expected --top-k to be a whole number above 0; got '0'. "),
        (["--temperature", "hot"], 2, "got 'argument --temperature: invalid float value: 'hot''"),
        (["--temprature", "1"], 2, "got '--temprature'. Try --temperature."),
        ([], 1, "expected a checkpoint's folder, with checkpoint.json in it, or a Hugging Face"),
    ],
)
def test_a_mistake_is_one_line(*, refusal, tmp_path, words, code, line):
    assert line in refusal("generate", tmp_path, "--prompt", "a", *words, code=code)


def test_a_prompt_is_required(refusal, tmp_path):
    assert refusal("generate", tmp_path, code=2).endswith(
        "got no --prompt. Try growlm generate --help."
    )
