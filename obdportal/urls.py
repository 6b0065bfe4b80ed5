"""URLs of the project: the portal itself, and Django's own admin for the rest."""

from django.contrib import admin
from django.urls import include, path

from calls.views.account import admin_login

handler400 = "calls.views.errors.bad_request"

urlpatterns = [
    path("", include("calls.urls")),
    path("django-admin/login/", admin_login),
    path("django-admin/", admin.site.urls),
]
