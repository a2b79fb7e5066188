"""Matrices that are made without drawing their weights, which ``model.init`` does by name."""

from torch import nn


class Linear(nn.Linear):
    """A linear map whose weights hold nothing yet."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are.

        torch would draw from the global stream what is replaced anyway; of a model without
        storage it would first load its compiler, which takes longer than growing a small one.
        """


class Embedding(nn.Embedding):
    """A row for each token or place, which hold nothing yet."""

    def reset_parameters(self) -> None:
        """Leave the weights as they are, as ``Linear`` does."""
