"""The harness that measures fastwsgi and its peers: `python -m bench`; see bench/README.md."""
