"""The WSGI entry point: `fastwsgi demo.wsgi`."""

from __future__ import annotations

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo.settings")

# The handler answers /static/ from the installed apps, without collectstatic and without a web
# server in front: fit for a demonstration and for the admin's few files, not for a busy site.
application = StaticFilesHandler(get_wsgi_application())
