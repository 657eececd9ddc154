"""`fastwsgi translate uwsgi.ini`: what another server's configuration file is as one of ours."""
