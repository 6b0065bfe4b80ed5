"""URLs of the portal."""

from django.urls import path

from calls.views import site, start

urlpatterns = [
    # Start calls
    path("start/", start.form, name="start"),
    path("start/<uuid:pk>/", start.preflight, name="preflight"),
    path("start/<uuid:pk>/confirm/", start.confirm, name="preflight_confirm"),
    path("start/<uuid:pk>/cancel/", start.cancel, name="preflight_cancel"),
    path("start/<uuid:pk>/<str:outcome>/", start.numbers, name="preflight_numbers"),
    path("healthz", site.healthz, name="healthz"),
]
