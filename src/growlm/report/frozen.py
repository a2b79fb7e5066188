"""What all parts of a log's data have in common: frozen records, and means with their errors."""

from pydantic import BaseModel


class View(
    BaseModel,
    frozen=True,
    extra="forbid",
    use_attribute_docstrings=True,
    ser_json_inf_nan="strings",
):
    """Part of a training log: frozen, closed to unknown keys; NaN and infinity survive JSON."""


class MeanView(View, frozen=True):
    """The mean of a metric over examples."""

    value: float
    """The mean."""
    stderr: float
    """Its standard error; 0 for one example."""
    count: int
    """Examples."""
