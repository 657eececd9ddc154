"""`gunicorn.app`."""
