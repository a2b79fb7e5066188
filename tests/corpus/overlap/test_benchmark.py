import bz2
import gzip
import json

import pytest
import zstandard

from growlm.base.errors import CorpusError, GrowlmError, RecipeError, StorageError
from growlm.corpus.overlap.benchmark import fields_of, parse_fields, read_benchmark


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts(path, name, fields=None):
    found = read_benchmark(name, path, fields=fields or fields_of(name)).examples
    answers = [each.text[slice(*each.answer)] if each.answer else None for each in found]
    return [each.text for each in found], answers


def test_lambada_s_answer_is_its_last_word(tmp_path):
    path = write(tmp_path / "a", {"text": "he shut the\ndoor"}, {"text": "up the hill \n"})
    found = texts(path, "lambada_openai")
    assert found == (["he shut the\ndoor", "up the hill"], ["\ndoor", " hill"])


def test_piqa_goes_on_with_the_right_solution(tmp_path):
    path = write(tmp_path / "a", {"goal": "a hat", "sol1": "wear it", "sol2": "eat it", "label": 1})
    assert texts(path, "piqa") == (["a hat eat it"], [" eat it"])


def test_hellaswag_goes_on_with_the_right_ending(tmp_path):
    path = write(tmp_path / "a", {"query": "A man", "choices": ["runs.", "sits."], "gold": "1"})
    assert texts(path, "HellaSwag_val") == (["A man sits."], [" sits."])


def test_any_other_benchmark_is_its_text(tmp_path):
    assert texts(write(tmp_path / "a", {"text": "so"}), "mine") == (["so"], [None])


def test_fields_reach_into_objects_and_contexts_stand_apart(tmp_path):
    path = write(tmp_path / "a", {"q": {"en": "who?"}, "a": "me", "passage": "It was me."})
    fields = parse_fields("text=q.en,answer=a,context=passage")
    (example,) = read_benchmark("mine", path, fields=fields).examples
    assert (example.text, example.context, example.index) == ("who? me", "It was me.", 0)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, zstandard.compress])
def test_rows_are_numbered_from_0_whatever_lines_are_blank(tmp_path, pack):
    path = tmp_path / "a"
    path.write_bytes(pack(b'\n{"text": "x"}\n\n{"text": "y"}\n'))
    found = read_benchmark("mine", path, fields=fields_of("mine")).examples
    assert [(each.index, each.text) for each in found] == [(0, "x"), (1, "y")]


@pytest.mark.parametrize(
    ("name", "rows", "first"),
    [
        ("lambada_openai_test.jsonl", 5153, "In my palm is a clear stone"),
        ("piqa_validation.jsonl", 1838, "How do I ready a guinea pig cage"),
        ("hellaswag_validation.jsonl.gz", 10_042, "Roof shingle removal"),
    ],
)
def test_the_real_benchmarks_are_known_by_their_names(shared_data, name, rows, first):
    found = read_benchmark(name, shared_data / "eval" / name, fields=fields_of(name)).examples
    assert len(found) == rows
    assert found[0].text.startswith(first)
    assert all(each.answer for each in found)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "expected examples in {path}; got none. Try another file."),
        (b"{", "expected {path} line 1 to be JSON; got Expecting property name"),
        (b"[1]", "expected {path} line 1 to be a JSON object; got [1]."),
        (b"\xff", "expected {path} line 1 to be JSON; got 'utf-8' codec"),
        (b'{"txt": 1}', "expected a field 'text' in {path} line 1; got the fields txt. Try txt."),
        (b"{}", "expected a field 'text' in {path} line 1; got no fields but {{}}."),
        (b'{"text": 1}', "expected text in field 'text' of {path} line 1; got int."),
        (b"\x1f\x8bxx", "expected a gzip file that is whole; got "),
    ],
)
def test_a_file_that_is_no_benchmark_is_refused_by_its_line(tmp_path, content, line):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(CorpusError) as error:
        read_benchmark("mine", path, fields=fields_of("mine"))
    assert str(error.value).startswith(line.format(path=path))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(StorageError, match="expected a file that is there"):
        read_benchmark("mine", tmp_path / "none", fields=fields_of("mine"))


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"q": "x", "c": "abc", "k": 0}, "expected a list in field 'c' of .* got str"),
        ({"q": "x", "c": ["a"], "k": 1}, "expected a number below 1 in field 'k' of .* got 1"),
        (
            {"q": "x", "c": ["a"], "k": None},
            "expected a number below 1 in field 'k' of .* got None",
        ),
        ({"q": "x", "c": [1], "k": 0}, r"expected text in field 'c\[k\]' of .* got int"),
    ],
)
def test_an_answer_that_cannot_be_chosen_is_refused(tmp_path, row, line):
    with pytest.raises(CorpusError, match=line):
        read_benchmark(
            "mine", write(tmp_path / "a", row), fields=parse_fields("text=q,answer=c[k]")
        )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("tex=a", "got 'tex=a'. Try text=FIELD."),
        ("nothing", "Try text=FIELD,answer=FIELD."),
        ("answer=a", "expected a field for text; got 'answer=a'. Try text=FIELD,answer=a."),
        ("text=a[b", "expected a field for text: NAME, NAME[KEY] or A/B[KEY]; got 'a[b'."),
        ("text=", "got ''."),
    ],
)
def test_fields_that_say_something_else_are_refused(text, line):
    with pytest.raises(RecipeError) as error:
        parse_fields(text)
    assert line in str(error.value)
    assert isinstance(error.value, GrowlmError)
