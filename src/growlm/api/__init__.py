"""The door for Python: what the commands do, by the same names; the package's root has them all."""
