"""The Django project: settings, URLs, WSGI and the embedded database."""
