from pathlib import Path

import pytest

from growlm.base.errors import CorpusError
from growlm.corpus.finding import facts, find, kind_of, name_of


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def names(patterns, folder):
    return [name_of(path, folder=folder) for path in find(patterns, folder=folder)]


@pytest.fixture
def tree(tmp_path):
    for name in ("b.txt", "a.md", "Z.tex", "sub/c.jsonl", "sub.txt", "sub/d.txt.gz", "\u00e9.txt"):
        write(tmp_path / name, "x")
    for name in ("picture.png", ".hidden.txt", ".git/e.txt", "sub/.f.txt", "sub/table.csv.gz"):
        write(tmp_path / name, "x")
    return tmp_path


def test_a_folder_gives_its_known_files_in_byte_order(tree):
    expected = ["Z.tex", "a.md", "b.txt", "sub.txt", "sub/c.jsonl", "sub/d.txt.gz", "\u00e9.txt"]
    assert names((".",), tree) == expected


def test_patterns_keep_their_order_and_a_file_comes_once(tree):
    expected = ["b.txt", "sub/c.jsonl", "sub/d.txt.gz", "sub.txt", "\u00e9.txt"]
    assert names(("b.txt", "sub", "*.txt", "sub/c.jsonl"), tree) == expected


def test_globs_reach_into_folders_but_not_into_hidden_ones(tree):
    assert names(("**/*.txt",), tree) == ["b.txt", "sub.txt", "\u00e9.txt"]
    assert names(("s*",), tree) == ["sub.txt", "sub/c.jsonl", "sub/d.txt.gz"]
    assert names(("sub/[cd]*",), tree) == ["sub/c.jsonl", "sub/d.txt.gz"]


def test_absolute_globs_and_paths_above_the_folder_work(tree):
    below = tree / "sub"
    assert find((str(tree / "*.md"),), folder=below) == [tree / "a.md"]
    assert names(("../*.md", "../b.txt"), below) == ["../a.md", "../b.txt"]


def test_a_name_with_wildcards_in_it_is_a_name_when_it_is_there(tree):
    write(tree / "odd[1].txt", "x")
    assert names(("odd[1].txt",), tree) == ["odd[1].txt"]


@pytest.mark.parametrize("pattern", ["none.txt", "*.json", "none/", "empty", ".git/*.png"])
def test_a_pattern_that_matches_nothing_is_refused(tree, pattern):
    (tree / "empty").mkdir()
    with pytest.raises(CorpusError, match=f"'{pattern.replace('*', '[*]')}', which matches none"):
        find((pattern,), folder=tree)


def test_a_file_of_another_kind_is_refused_when_named(tree):
    with pytest.raises(CorpusError, match=r"to end in one of \.txt.*picture\.png"):
        find(("picture.png",), folder=tree)


def test_an_unreadable_folder_is_refused(tree, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(CorpusError, match=r"'Permission denied' at .*sub"):
        find(("sub",), folder=tree)


def test_a_file_in_an_unreadable_folder_is_refused(tree, monkeypatch):
    def stat(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(CorpusError, match=r"'Permission denied' at .*b\.txt"):
        find(("b.txt",), folder=tree)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".bz2", ".GZ"])
def test_a_packed_file_is_of_the_kind_that_it_unpacks_to(suffix):
    assert kind_of(f"folder/a.jsonl{suffix}") == ".jsonl"


def test_addresses_and_paths_stand_beside_each_other(tree, far_files):
    far_files("box/b.jsonl", b"{}")
    far_files("box/a.jsonl.gz", b"")
    far_files("box/deep/.c.jsonl", b"{}")
    far_files("box/picture.png", b"")
    found = find(("b.txt", "memory://box", "memory://box/b.jsonl"), folder=tree)
    assert found == [tree / "b.txt", "memory:///box/a.jsonl.gz", "memory:///box/b.jsonl"]
    assert name_of(found[0], folder=tree / "sub") == "../b.txt"
    assert name_of(found[1], folder=tree) == "memory:///box/a.jsonl.gz"


def test_the_facts_of_a_place_change_with_it(tree, far_files):
    far_files("box/a.txt", b"four")
    assert facts("memory://box/a.txt", folder=tree)["bytes"] == 4
    assert sorted(facts(tree / "b.txt", folder=tree)) == ["bytes", "mtime_ns", "path"]


def test_an_address_that_matches_nothing_is_refused(tree, far_files):
    far_files("box/a.txt", b"x")
    with pytest.raises(CorpusError, match=r"got 'memory://box/\*\.md', which matches none\. Try"):
        find(("memory://box/*.md",), folder=tree)
