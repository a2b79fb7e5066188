"""The held-out split: a document's group decides, and nothing else does."""

from hashlib import blake2b

from growlm.corpus.documents import Document


def held_out(document: Document, *, share: float) -> bool:
    """Return whether no stage may train on a document.

    A document is held out when the hash of its group, as a fraction of all hashes, is below the
    share. So the answer depends on no other document, and a larger share keeps what a smaller one
    held out.

    Args:
        document: Of any source.
        share: Share of the groups to hold out, in [0, 1].
    """
    digest = blake2b(document.group.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") < share * 2**64
