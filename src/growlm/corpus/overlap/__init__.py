"""Which benchmark items stand in which documents: an index of them, and one pass over the text."""
