"""`gunicorn.glogging`: loggers as configuration files subclass and configure them."""
