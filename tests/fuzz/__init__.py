"""Fuzzing: what is fed with hostile bytes is fed with many of them, and watched by oracles.

Targets in C are the parser itself under libFuzzer with sanitizers (`native.py`, `harness/`); targets
in Python are driven by hypothesis (`examples.py`). `python -m tests.fuzz`, or `make fuzz`, runs them;
docs/fuzzing.md says what each looks for.
"""
