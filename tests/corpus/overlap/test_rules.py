import pytest

from growlm.corpus.overlap.rules import NOTES, verdicts
from growlm.corpus.permutation import key64


def verdict(rule, scanned, texts, documents):
    index, found = scanned(texts, documents)
    return next(each for each in verdicts(index, found, 0) if each.rule == rule)


def flagged(*given):
    return list(verdict(*given).flagged)


def part(text, first, last):
    return " ".join(text.split()[first:last])


def test_every_rule_is_told_with_its_source(scanned, prose):
    index, found = scanned([prose(1)], [prose(2)])
    assert [each.rule for each in verdicts(index, found, 0)] == list(NOTES)
    assert all("arXiv:" in note for note in NOTES.values())


def test_gpt3_flags_any_13_words_in_a_row(scanned, prose):
    for count, rows in ((12, []), (13, [0])):
        assert flagged("gpt3", scanned, [prose(1)], [part(prose(1), 5, 5 + count)]) == rows


def test_gpt3_leaves_out_what_has_under_8_words(scanned, prose):
    texts = [prose(1, 7), prose(2)]
    found = verdict("gpt3", scanned, texts, [prose(1, 7)])
    assert (found.counted, found.flagged) == (1, ())


def test_gpt3_takes_a_shorter_text_whole(scanned, prose):
    texts = [prose(1, 9), *(prose(n) for n in range(2, 40))]
    assert flagged("gpt3", scanned, texts, [prose(1, 9)]) == [0]
    assert flagged("gpt3", scanned, texts, [prose(1, 8)]) == []


def test_palm_flags_from_70_percent_of_8_words_in_a_row_over_all_documents(scanned, prose):
    text = prose(1, 27)  # 20 times 8 words in a row
    assert flagged("palm", scanned, [text], [part(text, 0, 20)]) == []  # 13 of 20
    assert flagged("palm", scanned, [text], [part(text, 0, 21)]) == [0]  # 14 of 20
    assert flagged("palm", scanned, [text], [part(text, 0, 14), part(text, 13, 27)]) == [0]


def test_gpt4_flags_a_drawn_stretch_of_50_letters(scanned, prose):
    text = prose(1)
    letters = text.replace(" ", "")
    draws = [key64(f"('gpt4', 'mine', '0', {draw})") % (len(letters) - 49) for draw in range(3)]
    for start in draws:
        assert flagged("gpt4", scanned, [text], [letters[start : start + 50]]) == [0]
        others = [at for at in draws if not start <= at < start + 50]
        if len(others) == 2:
            assert flagged("gpt4", scanned, [text], [letters[start + 1 : start + 60]]) == []


def test_gpt4_takes_a_shorter_text_whole(scanned):
    text = "abcdefghijklmnopqrstuvwxyz0123456789"
    assert flagged("gpt4", scanned, [text], [f"x{text}y"]) == [0]
    assert flagged("gpt4", scanned, [text], [f"x{text[1:]}y"]) == []


def test_llama2_counts_words_in_matches_longer_than_each_length(scanned, prose):
    words = prose(1, 100).split()
    changed = [*words[:15], "else", *words[16:85]]
    found = verdict("llama2", scanned, [" ".join(words)], [" ".join(changed)])
    assert found.flagged == (0,)
    assert [found.detail[f"dirty_{length}"] for length in (10, 50)] == [1, 1]
    short = verdict("llama2", scanned, [" ".join(words)], [" ".join(words[:25])])
    assert [short.detail[f"clean_{length}"] for length in (10, 20, 30)] == [0, 0, 1]
    assert short.flagged == ()


def test_llama3_reports_the_share_of_words_inside_8_in_a_row(scanned, prose):
    found = verdict("llama3", scanned, [prose(1, 40)], [part(prose(1, 40), 0, 20)])
    assert [found.detail[f"above_{at}"] for at in ("0", "0.4", "0.5")] == [1, 1, 0]


@pytest.mark.parametrize(("words", "rows"), [(20, []), (22, [0])])
def test_tulu3_flags_over_half_of_the_words_of_one_document(scanned, prose, words, rows):
    text = prose(1, 40)
    assert flagged("tulu3", scanned, [text], [part(text, 3, 3 + words)]) == rows
    halves = [part(text, 0, 20), part(text, 20, 40)]
    assert flagged("tulu3", scanned, [text], halves) == []


@pytest.mark.parametrize(("rows", "contaminated"), [(50, False), (49, True)])
def test_tulu3_calls_a_source_contaminated_above_2_percent(scanned, prose, rows, contaminated):
    texts = [prose(n) for n in range(rows)]
    found = verdict("tulu3", scanned, texts, [texts[0]])
    assert found.detail == {"contaminated": contaminated}


def test_short_texts_that_are_found_count(scanned, prose):
    texts = ["open the jar now", prose(1)]
    assert flagged("palm", scanned, texts, ["open the jar now"]) == [0]
    assert verdict("palm", scanned, ["ok", *texts], ["x"]).counted == 2
