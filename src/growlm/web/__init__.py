"""The playground: a page on this machine, to read what models write side by side."""
