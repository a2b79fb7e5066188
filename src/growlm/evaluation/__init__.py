"""Scores: log-likelihoods, bits per byte, the last-word task."""
