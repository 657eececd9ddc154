"""The rows, a module for each section of `--help`."""
