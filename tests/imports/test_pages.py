"""The pages of imports: upload, preview, progress, result, undoing, for contact groups and suppression lists."""

import errno
import io
import uuid
from itertools import product
from typing import Any

import openpyxl
import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calls.contacts import importing
from calls.contacts.importing import ImportNotPossible, UploadError
from calls.models import Contact, ContactGroup, Import, ImportState, ListRole, Suppression, SuppressionList, User
from tests.contacts.pages import body, dead_links, text
from tests.factories import client_for, make_group, make_user, number

pytestmark = pytest.mark.django_db

FILE = f"Mobile;Customer name;City;Order\n{number(1)};Asha;Pune;A-1\n12;Ravi;Goa;A-2\n{number(1)};Again;;\n"


@pytest.fixture(autouse=True)
def region(settings: Any) -> None:
    settings.DEFAULT_REGION = "GB"


@pytest.fixture
def operator() -> User:
    return make_user("operator")


@pytest.fixture
def client(operator: User) -> Client:
    return client_for(operator)


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members")


def upload(client: Client, target: ContactGroup | SuppressionList, **fields: Any) -> Any:
    """Send the form; a text as `file` is a CSV file."""
    name = "contact_group_import" if isinstance(target, ContactGroup) else "suppression_list_import"
    if isinstance(fields.get("file"), str):
        fields["file"] = SimpleUploadedFile("list.csv", fields["file"].encode())
    return client.post(reverse(name, args=[target.pk]), fields)


def uploaded(client: Client, target: ContactGroup | SuppressionList, **fields: Any) -> Import:
    response = upload(client, target, **fields)
    assert response.status_code == 302, text(response)
    asked = Import.objects.latest("created_at")
    assert response["Location"] == reverse("import", args=[asked.pk])
    return asked


def form_of(client: Client, asked: Import, **changed: Any) -> dict[str, Any]:
    """The fields of the preview as a browser would send them."""
    form = client.get(reverse("import", args=[asked.pk])).context["form"]
    return {name: form[name].value() or "" for name in form.fields} | changed


def post(client: Client, name: str, asked: Import, fields: dict[str, Any] | None = None) -> Any:
    response = client.post(reverse(name, args=[asked.pk]), fields or {})
    asked.refresh_from_db()
    return response


def shown(client: Client, asked: Import) -> str:
    page = client.get(reverse("import", args=[asked.pk]))
    assert page.status_code == 200
    assert not dead_links(page)
    return text(page)


def imported(client: Client, target: ContactGroup | SuppressionList, existing: str = "skip", **fields: Any) -> Import:
    """Upload and confirm, as guessed."""
    asked = uploaded(client, target, **fields)
    post(client, "import_confirm", asked, form_of(client, asked, existing=existing))
    return asked


# --- Upload ----------------------------------------------------------------------------------------------------------


def test_the_groups_page_leads_to_the_import(client: Client, group: ContactGroup) -> None:
    url = reverse("contact_group_import", args=[group.pk])
    assert url in client.get(reverse("contact_group", args=[group.pk])).content.decode()
    page = client.get(url)
    assert "Add contacts" in text(page)
    assert "upload.js" in page.content.decode()


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({}, "pasted", "Paste numbers, or choose a file."),
        ({"pasted": " \n "}, "pasted", "Paste numbers, or choose a file."),
        ({"pasted": number(1), "file": FILE}, "file", "not both"),
        ({"file": SimpleUploadedFile("empty.csv", b"")}, "file", "The file is empty."),
        ({"file": SimpleUploadedFile("list.csv", b"\x00\x01\x02\x03" * 100)}, "file", ""),
        ({"file": SimpleUploadedFile("list.xlsx", b"PK\x03\x04nothing more")}, "file", ""),
    ],
)
def test_what_can_not_be_imported_is_said_at_its_field(
    client: Client, group: ContactGroup, fields: dict[str, Any], field: str, problem: str
) -> None:
    response = upload(client, group, **fields)
    assert response.status_code == 200
    assert problem in " ".join(response.context["form"].errors[field])
    assert (response.context["form"]["pasted"].value() or "") == fields.get("pasted", "")
    assert ("Choose the file again" in text(response)) == ("file" in fields)
    assert not Import.objects.exists()


def test_a_file_that_is_too_large_is_not_kept_whole(
    client: Client, group: ContactGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.uploads.MAX_BYTES", 100_000)
    monkeypatch.setattr("calls.contacts.importing.receiving.MAX_BYTES", 1024**2)
    kept: list[int] = []
    seen = importing.receive

    def receive(*arguments: Any, upload: Any, **options: Any) -> Import:
        kept.append(upload.file.seek(0, 2))
        return seen(*arguments, upload=upload, **options)

    monkeypatch.setattr(importing, "receive", receive)
    response = upload(client, group, file=f"{number(1)}\n" * 200_000)
    assert "The file has 3 MiB; at most 1 MiB are taken in." in response.context["form"].errors["file"][0]
    assert kept[0] < 1024**2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said(client: Client, group: ContactGroup, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def write(*_: Any) -> None:
        raise OSError(code, "No space left on device")

    monkeypatch.setattr("django.core.files.uploadedfile.TemporaryUploadedFile.write", write, raising=False)
    response = upload(client, group, file=FILE)
    assert "The disk of the portal is full" in response.context["form"].errors["file"][0]
    assert not Import.objects.exists()


def test_pasted_text_that_is_too_long_says_what_to_do(client: Client, group: ContactGroup, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024**2
    response = upload(client, group, pasted=f"{number(1)}\n" * 100_000)
    assert response.status_code == 400
    assert (
        "more than 1 MiB, which is too much. Nothing was changed. Go back, save the list" in response.content.decode()
    )
    assert "Something in the address" in client.get("/", headers={"host": "elsewhere.example"}).content.decode()


def test_a_script_that_uploads_is_told_where_the_preview_is(client: Client, group: ContactGroup) -> None:
    url = reverse("contact_group_import", args=[group.pk])
    response = client.post(url, {"pasted": number(1)}, headers={"X-Requested-With": "XMLHttpRequest"})
    assert (response.status_code, response["Location"]) == (201, reverse("import", args=[Import.objects.get().pk]))


# --- Preview ---------------------------------------------------------------------------------------------------------


def test_the_preview_shows_what_is_read_repaired_and_refused(client: Client, group: ContactGroup) -> None:
    asked = uploaded(client, group, file="Mobile,Name\n'02079460001,Asha\n12,Ravi\n2079460002.0,Zoë\n")
    page = shown(client, asked)
    assert "+44 20 7946 0001 Asha" in page
    assert "Refused: too short: 2 digits" in page
    assert "1 would be refused" in page
    response = client.get(reverse("import", args=[asked.pk]))
    assert [row.repaired != "" for row in response.context["preview"].rows] == [True, False, True]
    assert [field.value() for field in response.context["form"].columns] == ["number", "name"]
    assert not group.contacts.exists()


def test_other_columns_are_chosen_and_read_again(client: Client, group: ContactGroup) -> None:
    asked = uploaded(client, group, file=FILE)
    assert form_of(client, asked) == {
        "header": 1, "encoding": "utf-8-sig", "separator": "semicolon", "other_separator": "",
        "existing": "skip", "column_0": "number", "column_1": "name", "column_2": "extra",
        "column_3": form_of(client, asked)["column_3"],
    }  # fmt: skip
    chosen = form_of(client, asked, column_1="extra", column_2="name", column_3="custom", existing="update")
    assert post(client, "import", asked, chosen).status_code == 302
    assert form_of(client, asked) == chosen
    assert "+44 20 7946 0001 Pune" in shown(client, asked)
    post(client, "import_confirm", asked, chosen)
    contact = group.contacts.get()
    assert (contact.name, contact.custom, contact.extra) == ("Pune", "A-1", {"Customer name": "Asha"})


def test_titles_are_read_anew_where_they_are_said_to_be(client: Client, group: ContactGroup) -> None:
    asked = uploaded(client, group, file=FILE)
    post(client, "import_confirm", asked, form_of(client, asked, header="", existing="skip"))
    assert asked.counts["rows"] == 4
    wrong = uploaded(client, group, file=f"Phone,Town\n{number(5)},Pune\nMobile,Name\n{number(6)},Asha\n")
    post(client, "import", wrong, form_of(client, wrong, header="3"))
    assert [field.label for field in client.get(reverse("import", args=[wrong.pk])).context["form"].columns] == [
        "Mobile", "Name",
    ]  # fmt: skip
    assert form_of(client, wrong)["column_1"] == "name"
    other = uploaded(client, group, file=f"Our list\nPhone,Town\n{number(5)},Pune\n")
    post(client, "import_confirm", other, form_of(client, other, header="2", column_0="number", column_1="extra"))
    assert group.contacts.get(number=number(5)).extra == {"Town": "Pune"}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"column_0": "skip"}, "Say which column has the phone numbers."),
        ({"column_1": "custom", "column_2": "custom"}, "Only one column can be the custom reference"),
        ({"column_0": "nonsense"}, "Select a valid choice"),
        ({"header": "-1"}, "greater than or equal to 1"),
        ({"header": "many"}, "whole number"),
        ({"existing": ""}, "required"),
        ({"existing": "everything"}, "Select a valid choice"),
    ],
)
@pytest.mark.parametrize("name", ["import", "import_confirm"])
def test_a_wrong_choice_is_named_and_nothing_chosen_is_lost(
    client: Client, group: ContactGroup, name: str, changed: dict[str, str], problem: str
) -> None:
    asked = uploaded(client, group, file=FILE)
    fields = form_of(client, asked, column_3="skip") | changed
    response = post(client, name, asked, fields)
    assert response.status_code == 200
    assert problem in text(response)
    assert {field: response.context["form"][field].value() for field in changed} == changed
    assert response.context["form"]["column_3"].value() == "skip"
    assert asked.state == ImportState.UPLOADED
    assert not group.contacts.exists()


def test_a_file_that_is_gone_is_said_and_can_be_dropped(client: Client, group: ContactGroup) -> None:
    asked = uploaded(client, group, file=FILE)
    fields = form_of(client, asked)
    asked.file.delete(save=False)
    page = client.get(reverse("import", args=[asked.pk]))
    assert page.status_code == 200
    assert "It can't be read" in text(page).replace("&#x27;", "'")
    assert reverse("import_confirm", args=[asked.pk]) not in page.content.decode()
    assert post(client, "import", asked, fields | {"header": "2"}).status_code == 200
    assert "Dropped. Nothing was imported." in text(client.post(reverse("import_cancel", args=[asked.pk]), follow=True))


def test_replacing_everything_is_for_who_may_delete(group: ContactGroup) -> None:
    admin, operator = client_for(make_user("admin")), client_for(make_user("operator"))
    own = SuppressionList.objects.get(role=ListRole.MANUAL)
    asked = uploaded(operator, own, pasted=number(1), reason="Asked")
    assert "Replace everything" not in shown(operator, asked)
    assert "Update it" not in shown(operator, asked)
    refused = post(operator, "import_confirm", asked, form_of(operator, asked, existing="replace"))
    assert "Select a valid choice" in text(refused)
    assert "of the 0 numbers there now" in shown(admin, uploaded(admin, own, pasted=number(1), reason="Asked"))


def test_another_separator_and_encoding_are_read_again(client: Client, group: ContactGroup) -> None:
    data = f"Name!Mobile\nJosé!{number(1)}\n".encode("cp1252")
    asked = uploaded(client, group, file=SimpleUploadedFile("list.csv", data))
    fields = form_of(client, asked, encoding="iso8859-15", separator="another")
    response = post(client, "import", asked, fields)
    assert response.context["form"].errors["other_separator"] == ["Type the character that separates the cells."]
    assert response.context["form"]["encoding"].value() == "iso8859-15"
    for wrong in '1"+':
        assert post(client, "import", asked, fields | {"other_separator": wrong}).status_code == 200
    unchosen = post(client, "import", asked, fields | {"other_separator": "!", "separator": "comma"})
    assert "Choose “Another one” as the separator" in text(unchosen)
    fields["other_separator"] = "!"
    # Nothing is imported that nobody has seen.
    assert post(client, "import_confirm", asked, fields)["Location"] == reverse("import", args=[asked.pk])
    assert asked.state == ImportState.UPLOADED
    chosen = form_of(client, asked)
    assert chosen == fields | {"column_0": "name", "column_1": "number"} | {"header": 1}
    assert "It is read as ISO-8859-15" in shown(client, asked)
    # With other letters only, the columns stay as they were chosen.
    post(client, "import", asked, chosen | {"encoding": "cp1252", "column_0": "custom"})
    assert form_of(client, asked)["column_0"] == "custom"
    post(client, "import_confirm", asked, form_of(client, asked))
    assert group.contacts.get().custom == "José"


def test_pasted_text_is_divided_as_the_person_says(client: Client, group: ContactGroup) -> None:
    asked = uploaded(client, group, pasted=f"Asha: {number(1)}\nRavi: {number(2)}")
    assert form_of(client, asked) == {"separator": "text", "other_separator": "", "existing": "skip"}
    post(client, "import", asked, form_of(client, asked, separator="colon"))
    assert form_of(client, asked)["column_1"] == "number"
    together = form_of(client, asked, column_0="text")
    assert "names and numbers together, leave the others out" in text(post(client, "import", asked, together))
    post(client, "import", asked, form_of(client, asked, separator="text"))
    post(client, "import_confirm", asked, form_of(client, asked))
    assert set(group.contacts.values_list("name", flat=True)) == {"Asha", "Ravi"}


def test_a_file_that_can_not_be_read_like_that_is_said(client: Client, group: ContactGroup) -> None:
    asked = uploaded(client, group, file=SimpleUploadedFile("list.csv", FILE.encode("utf-16")))
    response = post(client, "import", asked, form_of(client, asked, encoding="cp1252"))
    assert "This is not a text file" in text(response)
    assert response.context["form"]["encoding"].value() == "cp1252"
    blank = post(client, "import", asked, form_of(client, asked, header="9"))
    assert "Row 9 is blank, or there is none" in text(blank).replace("&#x27;", "'")


def test_the_preview_names_rows_further_down(client: Client, group: ContactGroup) -> None:
    rows = [number(i) for i in range(40)]
    page = shown(client, uploaded(client, group, file="\n".join(["Mobile", *rows, "12", "02079460001.0"])))
    assert "Of the first 42 rows: 1 repaired. 1 would be refused." in page
    assert "Further rows that were repaired, or would be refused 42" in page


def test_the_preview_says_when_it_shows_all(client: Client, group: ContactGroup) -> None:
    rows = f"Mobile,Name\n{number(1)},Asha\n"
    assert "All rows" in shown(client, uploaded(client, group, file=rows))
    blank = ",\n" * 1000  # as spreadsheets save them
    assert "All rows" not in shown(client, uploaded(client, group, file=f"{rows}{blank}12,Ravi\n"))


def test_titles_far_down_in_a_sheet(client: Client, group: ContactGroup) -> None:
    book = openpyxl.Workbook()
    sheet = book.create_sheet(index=0)
    for row, cells in ((1500, ["Name", "Mobile"]), (1501, ["Asha", number(1)])):
        for column, cell in enumerate(cells, 1):
            sheet.cell(row, column, cell)
    book.save(saved := io.BytesIO())
    asked = uploaded(client, group, file=SimpleUploadedFile("list.xlsx", saved.getvalue()))
    form = form_of(client, asked)
    assert form["header"] == 1500
    assert post(client, "import_confirm", asked, form).status_code == 302
    assert list(group.contacts.values_list("name", "number")) == [("Asha", number(1))]


# --- Result ----------------------------------------------------------------------------------------------------------


def test_a_small_import_goes_straight_to_its_result(client: Client, group: ContactGroup) -> None:
    Suppression.objects.create(number=number(1), reason="Asked")
    asked = imported(client, group, file=FILE)
    page = shown(client, asked)
    for tile in ("Rows 3 in all", "Added 1", "Repeated 1", "Refused 1", "Suppressed 1 imported, but not called"):
        assert tile in page
    assert "Why rows were refused Reason Rows too short: 2 digits 1" in page
    assert "3 12 | Ravi | Goa | A-2 too short: 2 digits" in page
    contact = group.contacts.get()
    assert (contact.number, contact.name, contact.extra["City"]) == (number(1), "Asha", "Pune")
    again = post(client, "import_confirm", asked, {})
    assert again["Location"] == reverse("import", args=[asked.pk])
    assert group.contacts.count() == 1


def test_what_was_repaired_is_said(client: Client, group: ContactGroup) -> None:
    asked = imported(client, group, file="Mobile\n'02079460001\n02079460002.0\n")
    assert "What was repaired Repair Rows" in shown(client, asked)


def test_a_list_that_is_not_replaced_says_why_and_gives_the_rows() -> None:
    client = client_for(make_user("admin"))
    own = SuppressionList.objects.create(name="Register")
    asked = imported(client, own, "replace", file=f"Mobile\n{number(1)}\n12\n", reason="Asked")
    page = shown(client, asked)
    assert "Not imported 1 of 2 rows can" in page
    assert "Why rows were refused Reason Rows too short: 2 digits 1" in page
    assert "12,too short" in body(client.get(reverse("import_refused", args=[asked.pk])))
    assert "Not imported" in text(client.get(reverse("suppression_list_imports", args=[own.pk])))


def test_refused_rows_are_downloaded_mended_and_imported(client: Client, group: ContactGroup) -> None:
    asked = imported(client, group, file=FILE)
    response = client.get(reverse("import_refused", args=[asked.pk]))
    assert response["Content-Disposition"] == 'attachment; filename="list-refused.csv"'
    assert response["Cache-Control"] == "no-store"
    refused = body(response)
    assert "too short: 2 digits" in refused
    assert "Again" in body(client.get(reverse("import_repeated", args=[asked.pk])))
    imported(client, group, file=refused.removeprefix("\ufeff").replace("12", number(2), 1))
    contact = group.contacts.get(number=number(2))
    assert (contact.name, "not added because" in contact.extra) == ("Ravi", False)


def test_undoing_asks_first_and_puts_back_what_was_there(client: Client, group: ContactGroup) -> None:
    Contact.objects.create(group=group, number=number(1), name="Before")
    Contact.objects.create(group=group, number=number(2), name="Gone")
    asked = imported(client, group, existing="replace", file=f"number,name\n{number(1)},After\n{number(3)},New\n")
    assert set(group.contacts.values_list("name", flat=True)) == {"After", "New"}
    url = reverse("import_undo", args=[asked.pk])
    assert url in client.get(reverse("import", args=[asked.pk])).content.decode()
    page = text(client.get(url))
    for said in ("1 contact that it added is removed", "1 contact that it changed", "1 contact that it removed"):
        assert said in page
    post(client, "import_undo", asked)
    assert set(group.contacts.values_list("name", flat=True)) == {"Before", "Gone"}
    assert "Undone" in shown(client, asked)
    assert url not in client.get(reverse("import", args=[asked.pk])).content.decode()
    assert "It can't be undone" in text(client.post(url)).replace("&#x27;", "'")


def test_undoing_says_who_can_be_called_again() -> None:
    admin, listed = client_for(make_user("admin")), SuppressionList.objects.create(name="Register")
    said = "The numbers that are removed can be called again, unless another list has them."
    asked = imported(admin, listed, pasted=number(1), reason="Asked")
    assert said in text(admin.get(reverse("import_undo", args=[asked.pk])))
    group = make_group("Members")
    asked = imported(admin, group, pasted=number(1))
    assert said not in text(admin.get(reverse("import_undo", args=[asked.pk])))


def test_an_import_that_others_followed_says_why_it_is_not_undone(client: Client, group: ContactGroup) -> None:
    first = imported(client, group, pasted=number(1))
    imported(client, group, pasted=number(2))
    assert "was done later. Undo that one first." in shown(client, first)
    assert group.contacts.count() == 2
    assert "was done later" in text(client.post(reverse("import_undo", args=[first.pk])))
    assert group.contacts.count() == 2


# --- While it is at work ---------------------------------------------------------------------------------------------

AT_WORK: dict[str, tuple[dict[str, Any], str]] = {
    "waiting": ({"state": "waiting"}, "Waits for a worker."),
    "reading": ({"state": "running", "step": "reading", "done": 50, "total": 100, "rows": 20}, "Step 1 of 2: reading"),
    "writing": ({"state": "running", "step": "writing", "done": 50, "total": 100, "rows": 100}, "writing, 50 of 100"),
    "workbook": (
        {"state": "running", "step": "reading", "done": 5, "total": 2_000, "layout": {"kind": "xlsx"}},
        "Step 1 of 2: reading, row 5 of 2,000",
    ),
    "undoing": ({"state": "undoing"}, "Puts back what was there before."),
    "put back": ({"state": "undoing", "done": 50, "total": 100}, "Puts back what was there before. Time left"),
}


@pytest.mark.parametrize("name", AT_WORK)
def test_how_far_it_is_survives_a_reload_and_refreshes_itself(
    client: Client, operator: User, group: ContactGroup, name: str
) -> None:
    columns, said = AT_WORK[name]
    asked = Import.objects.create(owner=operator, group=group, started_at=timezone.now(), **columns)
    page = client.get(reverse("import", args=[asked.pk]))
    assert said in text(page)
    assert 'hx-trigger="every 1s"' in page.content.decode()
    assert ("Cancel" in text(page)) == (columns["state"] != "undoing")
    Import.objects.update(state="cancelled")
    refresh = client.get(f"{reverse('import', args=[asked.pk])}?v=0", headers={"HX-Request": "true"})
    assert "Nothing was changed." in refresh.content.decode()
    assert "hx-trigger" not in refresh.content.decode()


def test_one_that_waits_says_for_which(client: Client, operator: User, group: ContactGroup) -> None:
    other = Import.objects.create(
        owner=make_user("operator", "ravi"),
        group=group,
        filename="first.csv",
        state="running",
        started_at=timezone.now(),
    )
    asked = Import.objects.create(owner=operator, group=group, state="waiting", started_at=timezone.now())
    assert "Waits until Import of first.csv by ravi is done" in shown(client, asked)
    assert reverse("import", args=[other.pk]) not in client.get(reverse("import", args=[asked.pk])).content.decode()


def test_cancelling(client: Client, operator: User, group: ContactGroup) -> None:
    asked = Import.objects.create(owner=operator, group=group, state="running", started_at=timezone.now())
    assert post(client, "import_cancel", asked)["Location"] == reverse("import", args=[asked.pk])
    assert "Nothing was changed." in shown(client, asked)
    Import.objects.update(state="done")
    assert "too late to cancel" in text(client.post(reverse("import_cancel", args=[asked.pk]), follow=True))


def test_one_that_failed_says_what_to_do(client: Client, operator: User, group: ContactGroup) -> None:
    asked = Import.objects.create(
        owner=operator, group=group, state="failed", error="The disk is full: free some space."
    )
    assert "The disk is full: free some space." in shown(client, asked)


def test_what_the_engine_refuses_is_said(client: Client, group: ContactGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = uploaded(client, group, file=FILE)
    fields = form_of(client, asked)

    def refuse(*_: Any) -> None:
        raise ImportNotPossible("Not today.")

    monkeypatch.setattr(importing, "confirm", refuse)
    response = post(client, "import_confirm", asked, fields)
    assert response.status_code == 200
    assert "Not today." in text(response)


# --- Whose it is -----------------------------------------------------------------------------------------------------

NAMES = ("import", "import_confirm", "import_cancel", "import_undo", "import_refused", "import_repeated")


def test_an_import_is_its_makers_and_only_while_they_may(client: Client, operator: User, group: ContactGroup) -> None:
    asked = uploaded(client, group, pasted=number(1))
    done = imported(client, group, pasted=number(2))
    # Admins see what is done, but nobody confirms for somebody else.
    strangers = ((client_for(make_user("admin")), asked), (client_for(make_user("operator", "ravi")), done))
    for (stranger, hidden), name in product(strangers, NAMES):
        url = reverse(name, args=[hidden.pk])
        assert {stranger.get(url).status_code, stranger.post(url).status_code} <= {404, 405}, name
    assert client.get(reverse("import", args=[uuid.uuid4()])).status_code == 404
    operator.uses_all_contact_groups = False
    operator.save()
    assert client.get(reverse("import", args=[asked.pk])).status_code == 404


def test_admins_see_and_undo_what_others_imported(client: Client, operator: User, group: ContactGroup) -> None:
    asked = imported(client, group, file=FILE)
    boss = make_user("admin", "boss")
    admin = client_for(boss)
    assert f"by {operator.username}" in shown(admin, asked)
    assert "too short" in body(admin.get(reverse("import_refused", args=[asked.pk])))
    history = admin.get(reverse("contact_group_imports", args=[group.pk]))
    assert reverse("import", args=[asked.pk]) in history.content.decode()
    post(admin, "import_undo", asked)
    assert (asked.state, asked.undone_by) == (ImportState.UNDONE, boss)
    assert LogEntry.objects.get_for_object(group).first().actor == boss


def test_the_history_names_all_imports_and_leads_to_ones_own(client: Client, group: ContactGroup) -> None:
    mine = imported(client, group, file=FILE)
    theirs = imported(client_for(make_user("admin", "boss")), group, pasted=number(7))
    for name in ("contact_group", "contact_group_imports"):
        page = client.get(reverse(name, args=[group.pk]))
        assert "list.csv" in text(page)
        assert "boss 1 added" in text(page)
        assert "1 added, 1 refused" in text(page)
        html = page.content.decode()
        assert reverse("import", args=[mine.pk]) in html
        assert reverse("import", args=[theirs.pk]) not in html


def test_the_history_comes_in_pages(client: Client, operator: User, group: ContactGroup) -> None:
    for _ in range(51):
        Import.objects.create(owner=operator, group=group, state="cancelled")
    url = reverse("contact_group_imports", args=[group.pk])
    first = client.get(url).context["page"]
    assert len(client.get(url, {"after": first.next}).context["page"].rows) == 1


# --- Suppression lists -----------------------------------------------------------------------------------------------


def test_numbers_are_put_on_a_list_with_a_reason(client: Client, operator: User) -> None:
    own = SuppressionList.objects.get(role=ListRole.MANUAL)
    response = upload(client, own, pasted=number(1))
    assert response.context["form"].errors["reason"] == ["This field is required."]
    assert response.context["form"]["pasted"].value() == number(1)
    asked = imported(client, own, pasted=f"{number(1)}\n{number(2)}", reason="Wrote to us")
    assert asked.state == ImportState.DONE
    rows = Suppression.objects.filter(list=own)
    assert {(row.number, row.reason, row.added_by) for row in rows} == {
        (number(1), "Wrote to us", operator), (number(2), "Wrote to us", operator),
    }  # fmt: skip
    assert "Suppressed" not in shown(client, asked)
    assert (
        reverse("import_undo", args=[asked.pk]) not in client.get(reverse("import", args=[asked.pk])).content.decode()
    )
    assert client.post(reverse("import_undo", args=[asked.pk])).status_code == 403
    assert "2 added" in text(client.get(reverse("suppression_list_imports", args=[own.pk])))


def test_a_column_has_reasons(client: Client) -> None:
    register = SuppressionList.objects.create(name="Register")
    asked = uploaded(client, register, file=f"number,reason\n{number(1)},Complained\n{number(2)},\n", reason="Register")
    assert form_of(client, asked)["column_1"] == "reason"
    post(client, "import_confirm", asked, form_of(client, asked))
    assert dict(register.suppressions.values_list("number", "reason")) == {
        number(1): "Complained", number(2): "Register",
    }  # fmt: skip


@pytest.mark.parametrize("role", [ListRole.OPT_OUT, ListRole.CARRIER])
def test_nothing_is_imported_into_lists_that_the_portal_writes(role: str) -> None:
    client = client_for(make_user("admin"))
    own = SuppressionList.objects.get(role=role)
    assert upload(client, own, pasted=number(1), reason="Asked").status_code == 404
    assert (
        reverse("suppression_list_import", args=[own.pk])
        not in client.get(reverse("suppression_list", args=[own.pk])).content.decode()
    )


def test_a_new_group_is_not_made_of_a_file_that_can_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UploadError("This is a picture.")

    monkeypatch.setattr(importing, "receive", refuse)
    client = client_for(make_user("admin"))
    file = SimpleUploadedFile("list.csv", b"x")
    response = client.post(reverse("contact_group_new"), {"name": "Members", "file": file})
    assert response.context["form"].errors["file"] == ["This is a picture."]
    assert response.context["form"]["name"].value() == "Members"
    assert not ContactGroup.objects.exists()
