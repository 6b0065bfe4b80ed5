"""Settings of gunicorn: `gunicorn -c python:obdportal.gunicorn obdportal.wsgi`."""

from typing import Any

from obdportal.environment import env
from obdportal.processes import end_with_parent

host = env.str("BIND", default="127.0.0.1")
port = env.int("PORT", default=8000)
bind = f"{host}:{port}"
worker_class = "gthread"
workers = env.int("WEB_PROCESSES", default=2)
threads = 8
preload_app = True  # processes share the memory of what they have imported
timeout = 60  # seconds
limit_request_line = 8190  # bytes, the most that gunicorn allows: the API takes GET with long lists of numbers
graceful_timeout = 10
# Everybody may speak to us; obdportal.middleware decides which headers of a proxy are believed.
forwarded_allow_ips = "*"
loglevel = "warning"
control_socket_disable = True  # it would be one and the same file for all portals of a user


def on_starting(_server: Any) -> None:
    """Watch the parent; called by gunicorn."""
    end_with_parent()
