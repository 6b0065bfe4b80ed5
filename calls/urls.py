"""URLs of the portal."""

from django.urls import path

from calls.views import site

urlpatterns = [
    path("healthz", site.healthz, name="healthz"),
]
