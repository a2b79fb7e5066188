"""HellaSwag's rows, cleaned as lm-evaluation-harness cleans them before it asks."""

import re
from collections.abc import Mapping
from typing import Any, cast

_TAG = re.compile(r"\[.*?\]")


def prepared(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row with ``query``, ``choices`` and ``gold``; one that has them is taken as it is.

    The second half of the context begins with a capital, and the rest of it is lower case.

    Args:
        row: With ``activity_label``, ``ctx_a``, ``ctx_b``, ``endings`` and ``label``, of which
            those that are missing stay so.
    """
    needed = ("activity_label", "ctx_a", "ctx_b", "endings", "label")
    if "query" in row or not all(name in row for name in needed):
        return row
    label, first, second = (str(row[name]) for name in needed[:3])
    endings: Any = row["endings"]
    listed = cast(list[Any], endings) if isinstance(endings, list) else []
    return {
        "query": cleaned(f"{label}: {first} {second.capitalize()}"),
        "choices": [cleaned(each) for each in listed] or endings,
        "gold": row["label"],
    }


def cleaned(text: Any) -> Any:
    """Return a text without the tags of its source, in the harness's order, which leaves traces.

    An ending that began with a tag keeps the blank behind it; of three blanks two are left.

    >>> cleaned(" [header] How to sit [title] Find a chair.  Sit. ")
    ' How to sit. Find a chair. Sit.'
    """
    if not isinstance(text, str):
        return text
    return _TAG.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ")
