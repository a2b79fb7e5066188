"""Which token ends a text, and what is carried along beside the tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from growlm.base.errors import CheckpointError, CorpusError
from growlm.corpus.tokenizer import from_json, with_tokens
from growlm.huggingface.reading import read_folder
from growlm.huggingface.tokens import CARRIED, Tokens, read_tokens, special_ids, with_more

END = "<|endoftext|>"


def put(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def tokens_of(path: Path, end_of_text: str | None = None) -> Tokens:
    return read_tokens(read_folder(path), end_of_text=end_of_text)


def test_the_files_beside_a_tokenizer_are_kept_byte_by_byte(
    their_folder: Callable[..., Path],
) -> None:
    path = their_folder()
    (path / "merges.txt").write_bytes(b"#version: 0.2\r\n\xff")
    (path / "README.md").write_text("not this one", encoding="utf-8")
    found = tokens_of(path)
    assert set(found.files) == {"tokenizer_config.json", "merges.txt"} <= set(CARRIED)
    assert found.files["merges.txt"] == b"#version: 0.2\r\n\xff"
    assert found.tokenizer.json == (path / "tokenizer.json").read_bytes().decode()


@pytest.mark.parametrize(
    ("files", "config"),
    [
        ({"tokenizer_config.json": {"eos_token": END}}, {}),
        ({"tokenizer_config.json": {"eos_token": {"content": END, "special": True}}}, {}),
        ({"special_tokens_map.json": {"eos_token": END}}, {}),
        (
            {
                "special_tokens_map.json": {"eos_token": "another"},
                "tokenizer_config.json": {"eos_token": END},
            },
            {},
        ),
        ({}, {"eos_token_id": 0}),
        ({"tokenizer_config.json": {"eos_token": None}}, {"eos_token_id": [0, 5]}),
    ],
)
def test_the_end_of_text_is_found_wherever_a_folder_names_it(
    their_folder: Callable[..., Path], files: dict[str, Any], config: dict[str, Any]
) -> None:
    path = their_folder(**config)
    (path / "tokenizer_config.json").unlink()
    for name, content in files.items():
        put(path, name, content)
    assert tokens_of(path).end_of_text == END


def test_the_end_of_text_that_was_asked_for_is_taken(their_folder: Callable[..., Path]) -> None:
    found = tokens_of(their_folder(), "a")
    assert found.end_of_text == "a"
    assert found.tokenizer.end_of_text == found.tokenizer.backend.token_to_id("a")


@pytest.mark.parametrize("given", [None, [], True, "0", 100_000])
def test_a_folder_that_names_no_end_of_text_is_refused(
    their_folder: Callable[..., Path], given: Any
) -> None:
    path = their_folder(eos_token_id=given)
    put(path, "tokenizer_config.json", {})
    words = (
        r"says which token ends a text; got none in tokenizer_config\.json, .*\. "
        r'Try "eos_token" in tokenizer_config\.json, or growlm import --end-of-text TOKEN\.'
    )
    with pytest.raises(CheckpointError, match=words):
        tokens_of(path)


def test_an_end_of_text_that_the_tokenizer_lacks_is_refused(
    their_folder: Callable[..., Path],
) -> None:
    with pytest.raises(CorpusError, match="to have the token '</s>' for the end of a text"):
        tokens_of(their_folder(), "</s>")


def test_a_folder_without_a_tokenizer_is_refused_with_what_it_has(
    their_folder: Callable[..., Path],
) -> None:
    path = their_folder()
    (path / "tokenizer.json").unlink()
    words = r"tokenizer\.json in .*; got only tokenizer_config\.json\. Try AutoTokenizer"
    with pytest.raises(CheckpointError, match=words):
        tokens_of(path)
    (path / "tokenizer_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json in .*; got none\. Try"):
        tokens_of(path)


@pytest.mark.parametrize("content", [b"{}", b"[", b"\xff\xfe"])
def test_a_tokenizer_that_is_none_is_refused(
    their_folder: Callable[..., Path], content: bytes
) -> None:
    path = their_folder()
    (path / "tokenizer.json").write_bytes(content)
    with pytest.raises((CorpusError, CheckpointError), match=r"tokenizer\.json to be "):
        tokens_of(path)


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff"])
def test_a_file_beside_it_that_is_no_object_is_refused(
    their_folder: Callable[..., Path], content: bytes
) -> None:
    path = their_folder()
    (path / "tokenizer_config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json to hold a JSON object; got"):
        tokens_of(path)


def test_a_tokenizer_with_more_ids_than_the_model_has_rows_is_refused(
    their_folder: Callable[..., Path], tokenizer_json: str
) -> None:
    content = json.loads(tokenizer_json)
    content["model"]["vocab"]["far"] = 300
    path = their_folder()
    put(path, "tokenizer.json", content)
    with pytest.raises(CheckpointError, match="at most 300 ids, the model's rows; got 301"):
        tokens_of(path)


def test_special_ids_are_those_of_the_tokenizer_and_null_where_it_has_none(
    tokenizer_json: str,
) -> None:
    read = from_json(tokenizer_json, end_of_text=END)
    assert special_ids(read, {}) == {
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": None,
    }
    files = {"tokenizer_config.json": json.dumps({"bos_token": END, "pad_token": "?!"}).encode()}
    assert special_ids(read, files)["bos_token_id"] == 0
    assert special_ids(read, files)["pad_token_id"] is None


class TestMoreTokens:
    def files(self, **contents: Any) -> dict[str, bytes]:
        return {f"{name}.json": json.dumps(each).encode() for name, each in contents.items()}

    def test_they_are_listed_wherever_added_tokens_are(self, tokenizer_json: str) -> None:
        more = with_tokens(tokenizer_json, ["<|user|>", "<|bot|>"])
        first = from_json(tokenizer_json, end_of_text=END).vocab_size
        ending = {"content": END, "special": True}
        files = self.files(
            tokenizer_config={"added_tokens_decoder": {"0": ending}, "eos_token": END},
            added_tokens={END: 0},
            special_tokens_map={"eos_token": END},
        )
        told = with_more(files, before=tokenizer_json, after=more)
        values = {name: json.loads(content) for name, content in told.items()}
        config = values["tokenizer_config.json"]
        assert config["eos_token"] == END
        assert list(config["added_tokens_decoder"]) == ["0", str(first), str(first + 1)]
        assert config["added_tokens_decoder"]["0"] == ending
        plain = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized"), False)
        user = {"content": "<|user|>", "special": True, **plain}
        assert config["added_tokens_decoder"][str(first)] == user
        assert values["added_tokens.json"] == {END: 0, "<|user|>": first, "<|bot|>": first + 1}
        assert told["special_tokens_map.json"] == files["special_tokens_map.json"]

    def test_files_that_list_none_stay_byte_by_byte(self, tokenizer_json: str) -> None:
        more = with_tokens(tokenizer_json, ["<|user|>"])
        files = {"tokenizer_config.json": b'{"eos_token":  "a"}', "merges.txt": b"\xff"}
        assert with_more(files, before=tokenizer_json, after=more) == files

    def test_the_same_tokens_change_nothing(self, tokenizer_json: str) -> None:
        listed = {"0": {"content": END}}
        files = self.files(tokenizer_config={"added_tokens_decoder": listed})
        told = with_more(files, before=tokenizer_json, after=tokenizer_json)
        assert json.loads(told["tokenizer_config.json"]) == {"added_tokens_decoder": listed}
