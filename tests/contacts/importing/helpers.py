"""Files, and imports of them."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from calls.contacts.importing import Layout, confirm, receive
from calls.models import Contact, ContactGroup, Import, SuppressionList, User
from calls.models.importing import Existing

Target = ContactGroup | SuppressionList


def csv_bytes(rows: Iterable[Iterable[object]], encoding: str = "utf-8", **options: Any) -> bytes:
    """A CSV file as a program writes it."""
    out = io.StringIO()
    csv.writer(out, **options).writerows(rows)
    return out.getvalue().encode(encoding)


def received(user: User, target: Target, data: bytes, filename: str = "list.csv", **options: Any) -> Import:
    """A file that was uploaded."""
    return receive(user, target, upload=SimpleUploadedFile(filename, data), **options)


def imported(
    user: User, target: Target, data: bytes, existing: Existing = Existing.SKIP, filename: str = "list.csv"
) -> Import:
    """A file that was imported at once, with its layout as guessed."""
    import_ = received(user, target, data, filename)
    confirm(import_, Layout.from_json(import_.layout), existing)
    return import_


def contacts(group: ContactGroup) -> list[tuple[str, str, str, dict[str, str]]]:
    """The contacts in the order in which they were added."""
    rows = Contact.objects.filter(group=group).order_by("pk")
    return list(rows.values_list("number", "name", "custom", "extra"))
