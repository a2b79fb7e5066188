"""From raw text to the tokens of a batch: documents, tokenizer, shards, mixture."""
