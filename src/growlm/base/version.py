"""The version of growlm, in the one place that all of it reads."""

VERSION = "0.1.0"
