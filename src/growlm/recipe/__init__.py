"""The whole experiment as one validated, frozen object, read from TOML."""
