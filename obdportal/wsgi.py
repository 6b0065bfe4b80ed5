"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from obdportal.postgres import provide_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "obdportal.settings")
provide_database()
application = get_wsgi_application()
