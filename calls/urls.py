"""URLs of the portal."""

from django.urls import path

from calls.api.endpoint import endpoint
from calls.views import (
    account,
    call_groups,
    calls,
    contacts,
    dashboard,
    ivrs,
    site,
    sounds,
    start,
    steering,
    suppression,
    users,
)

urlpatterns = [
    # The OBD API; no redirect, which would drop the body of a POST
    path("api/v1/", endpoint, name="api"),
    path("api/v1", endpoint),
    path("api/v1/index.php", endpoint),
    # Watching and steering
    path("", dashboard.dashboard, name="dashboard"),
    path("call-groups/", call_groups.call_groups, name="call_groups"),
    path("call-groups/<int:pk>/", call_groups.call_group, name="call_group"),
    path("call-groups/<int:pk>/summary/", call_groups.call_group_summary, name="call_group_summary"),
    path("call-groups/<int:pk>/calls/", call_groups.call_group_calls, name="call_group_calls"),
    path("call-groups/<int:pk>/calls.csv", calls.call_group_export, name="call_group_export"),
    path("call-groups/<int:pk>/calls/<int:n>/", calls.call, name="call"),
    path("call-groups/<int:pk>/pause/", steering.call_group_pause, name="call_group_pause"),
    path("call-groups/<int:pk>/resume/", steering.call_group_resume, name="call_group_resume"),
    path("call-groups/<int:pk>/cancel/", steering.call_group_cancel, name="call_group_cancel"),
    path(
        "call-groups/<int:pk>/batches/<int:batch>/placed/",
        steering.call_group_settle,
        {"placed": True},
        name="call_group_placed",
    ),
    path(
        "call-groups/<int:pk>/batches/<int:batch>/not-placed/",
        steering.call_group_settle,
        {"placed": False},
        name="call_group_not_placed",
    ),
    path(
        "call-groups/<int:pk>/dropped/<str:outcome>.csv",
        call_groups.call_group_dropped_csv,
        name="call_group_dropped_csv",
    ),
    path("call-groups/<int:pk>/dropped/<str:outcome>/", call_groups.call_group_dropped, name="call_group_dropped"),
    path("calls/", calls.calls, name="calls"),
    path("calls/export.csv", calls.calls_export, name="calls_export"),
    # Start calls
    path("start/", start.form, name="start"),
    path("start/<uuid:pk>/", start.preflight, name="preflight"),
    path("start/<uuid:pk>/confirm/", start.confirm, name="preflight_confirm"),
    path("start/<uuid:pk>/cancel/", start.cancel, name="preflight_cancel"),
    path("start/<uuid:pk>/<str:outcome>/", start.numbers, name="preflight_numbers"),
    # Contact groups and contacts
    path("contact-groups/", contacts.contact_groups, name="contact_groups"),
    path("contact-groups/new/", contacts.contact_group_new, name="contact_group_new"),
    path("contact-groups/<int:pk>/", contacts.contact_group, name="contact_group"),
    path("contact-groups/<int:pk>/edit/", contacts.contact_group_edit, name="contact_group_edit"),
    path("contact-groups/<int:pk>/delete/", contacts.contact_group_delete, name="contact_group_delete"),
    path("contact-groups/<int:pk>/add/", contacts.contacts_add, name="contacts_add"),
    path("contact-groups/<int:pk>/added/", contacts.contacts_added, name="contacts_added"),
    path("contact-groups/<int:pk>/added.csv", contacts.contacts_added_csv, name="contacts_added_csv"),
    path("contact-groups/<int:pk>/contacts/new/", contacts.contact_new, name="contact_new"),
    path("contact-groups/<int:pk>/contacts/<int:contact_pk>/", contacts.contact_edit, name="contact_edit"),
    path("contact-groups/<int:pk>/contacts/<int:contact_pk>/delete/", contacts.contact_delete, name="contact_delete"),
    # Suppression list
    path("suppression/", suppression.suppression, name="suppression"),
    path("suppression/add/", suppression.suppression_add, name="suppression_add"),
    path("suppression/added/", suppression.suppression_added, name="suppression_added"),
    path("suppression/added.csv", suppression.suppression_added_csv, name="suppression_added_csv"),
    path("suppression/<int:pk>/remove/", suppression.suppression_remove, name="suppression_remove"),
    # What is heard
    path("sounds/", sounds.sounds, name="sounds"),
    path("sounds/new/", sounds.sound_new, name="sound_new"),
    path("sounds/<int:number>/", sounds.sound, name="sound"),
    path("sounds/<int:number>/audio.wav", sounds.sound_audio, name="sound_audio"),
    path("sounds/<int:number>/edit/", sounds.sound_edit, name="sound_edit"),
    path("sounds/<int:number>/delete/", sounds.sound_delete, name="sound_delete"),
    path("ivrs/", ivrs.ivrs, name="ivrs"),
    path("ivrs/new/", ivrs.ivr_new, name="ivr_new"),
    path("ivrs/<int:number>/", ivrs.ivr, name="ivr"),
    path("ivrs/<int:number>/edit/", ivrs.ivr_edit, name="ivr_edit"),
    path("ivrs/<int:number>/delete/", ivrs.ivr_delete, name="ivr_delete"),
    # Who signs in
    path("users/", users.users, name="users"),
    path("users/new/", users.user_new, name="user_new"),
    path("users/<int:pk>/", users.user, name="user"),
    path("users/<int:pk>/active/", users.user_activate, name="user_activate"),
    path("users/<int:pk>/password/", users.user_password, name="user_password"),
    path("users/<int:pk>/<slug:slug>/", users.user_choices, name="user_choices"),
    # One's own account
    path("login/", account.login, name="login"),
    path("logout/", account.logout, name="logout"),
    path("account/password/", account.password_change, name="password_change"),
    path("account/password/changed/", account.password_changed, name="password_change_done"),
    path("healthz", site.healthz, name="healthz"),
]
