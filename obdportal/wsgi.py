"""The WSGI application that gunicorn serves."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from obdportal.postgres import provide_database


class Request(WSGIRequest):
    """A request whose Content-Type may name any charset, even one that is no encoding of texts ("hex")."""

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]
        except (LookupError, ValueError):
            self.encoding = "utf-8"


class Handler(WSGIHandler):
    """Django's own, with our requests."""

    request_class = Request


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "obdportal.settings")
provide_database()
django.setup(set_prefix=False)
application = Handler()
