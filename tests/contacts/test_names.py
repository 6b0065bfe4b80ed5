"""Names of people, the same whichever way they come in."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calls.contacts.names import NAME_LENGTH, as_name
from calls.models import Contact
from tests.contacts.importing.helpers import contacts
from tests.exports.test_round_trip import again
from tests.factories import client_for, make_group, make_user, number

MARKS = st.sampled_from("\"'“”()[]<>.,;:=-\u2013\u2014 \t\n\0\u200b\ufeffaB1é😀")


@given(st.one_of(st.text(MARKS), st.text(), st.text(MARKS, min_size=NAME_LENGTH)))
@example("\"('a')\"")
@example("a" * (NAME_LENGTH - 1) + " -b")
def test_a_name_is_its_own_name(text: str) -> None:
    name = as_name(text)
    assert as_name(name) == name
    assert len(name) <= NAME_LENGTH


@pytest.mark.parametrize(
    "name",
    [
        "Sammy Davis Jr.",
        "'Tis Ltd",
        'Asha "Bee"',
        "Dr. X (North",
        "<Boss>",
        "James'",
        "Asha (home)",
        "Müller & Co.",
        "😀",
    ],
)
def test_what_belongs_to_a_name_stays(name: str) -> None:
    assert as_name(name) == name


@pytest.mark.parametrize(
    "text",
    [
        '"Asha"',
        "'Asha'",
        "“Asha”",
        "Asha <",
        "Asha <>",
        "Asha ( )",
        "(Asha",
        "Asha - ",
        "= Asha",
        ": Asha;",
        '"Asha',
        "\tAsha\0",
    ],
)
def test_what_stands_around_a_name_goes(text: str) -> None:
    assert as_name(text) == "Asha"


@pytest.mark.parametrize("text", ["", "-", "...", '"', "''", "<>", " ( ) "])
def test_punctuation_is_no_name(text: str) -> None:
    assert as_name(text) == ""


@pytest.mark.django_db
def test_names_typed_in_the_form_survive_export_and_import() -> None:
    boss, group = make_user("admin"), make_group()
    web = client_for(boss)
    typed = ["Sammy Davis Jr.", "'Tis Ltd", 'Asha "Bee"', "A  B", "Rao - ", "=A", "'=A", "<Boss>", '"Meera"']
    for i, name in enumerate(typed):
        web.post(f"/contact-groups/{group.pk}/contacts/new/", {"number": number(i), "name": name, "custom": ""})
    kept = ["Sammy Davis Jr.", "'Tis Ltd", 'Asha "Bee"', "A B", "Rao", "A", "'=A", "<Boss>", "Meera"]
    assert list(Contact.objects.order_by("id").values_list("name", flat=True)) == kept
    assert contacts(again(boss, group, "csv")) == contacts(group)
