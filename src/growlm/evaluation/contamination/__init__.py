"""Contamination: scores held against what the training text holds of a benchmark."""
