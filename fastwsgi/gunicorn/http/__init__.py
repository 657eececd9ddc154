"""`gunicorn.http`."""
