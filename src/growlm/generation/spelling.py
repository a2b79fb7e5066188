"""Spelling: the text that each token adds, as soon as its characters are whole."""

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Token ids in, their text out."""

BEFORE = 8
"""Tokens of the prompt that are decoded with the first new one: some tokenizers write a token
differently where a text begins."""

BROKEN = "\ufffd"
"""What decoders write for bytes that are no character."""


class Spelling:
    """The text of a sequence, told token by token.

    Each token is decoded behind those just before it, and what they alone would have said is taken
    away. A token that ends inside a character says nothing; the one that ends it says all of it.

    Args:
        decode: The tokenizer's.
        prompt: The tokens before the first new one.
    """

    def __init__(self, decode: Decode, prompt: Sequence[int]) -> None:
        self._decode = decode
        self._ids = list(prompt[-BEFORE:])
        self._told = len(self._ids)

    def __call__(self, token: int) -> str:
        """Return what one more token adds to the text."""
        self._ids.append(token)
        text = self._untold()
        if text.endswith(BROKEN):
            return ""
        return self._tell(text)

    def rest(self) -> str:
        """Return what was held back for the rest of a character that never came."""
        return self._tell(self._untold())

    def _untold(self) -> str:
        known = self._decode(self._ids[: self._told])
        return self._decode(self._ids)[len(known) :]

    def _tell(self, text: str) -> str:
        kept = max(0, self._told - BEFORE)
        self._ids = self._ids[kept:]
        self._told = len(self._ids)
        return text
