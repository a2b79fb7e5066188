import json

from growlm.corpus.finding import find
from growlm.corpus.signed import read
from growlm.corpus.signing import Portion, sign
from growlm.recipe.sections import Source


def test_portions_are_one_table_in_their_order(tmp_path):
    portions = []
    for number, (name, rows) in enumerate((("b", ["x", "one two three four five"]), ("a", ["y"]))):
        lines = "".join(json.dumps({"text": row, "key": f"{name}{row[:1]}"}) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines)
        source = Source(name=name, files=(f"{name}.jsonl",), weight=1.0, id_field="key")
        places = tuple(find(source.files, folder=tmp_path))
        portions.append(Portion(source=source, folder=tmp_path, places=places, near=True))
        sign(portions[-1], tmp_path / "parts", number)
    signed = read(tmp_path / "parts", portions)
    assert signed.of("a").tolist() == [False, False, True]
    assert [signed.source_of(n) for n in range(3)] == ["b", "b", "a"]
    assert signed.owners.tolist() == [1]
    described = signed.describe(2)
    assert described["uid"] == signed.uid(2)
    assert (described["path"], described["row"], described["id"]) == ("a.jsonl", 0, "ay")
