"""The sub-commands of `python -m bench`, a module each; `bench.__main__` has the table."""
