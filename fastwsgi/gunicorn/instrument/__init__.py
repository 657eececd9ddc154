"""`gunicorn.instrument`."""
