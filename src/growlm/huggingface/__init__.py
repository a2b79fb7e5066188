"""Hugging Face folders: a config, safetensors in one file or shards, and a tokenizer's files."""
