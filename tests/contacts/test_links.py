import pytest
from django.urls import reverse

from calls.models import Contact, Suppression
from tests.contacts.pages import dead_links
from tests.factories import client_for, make_call_group, make_group, make_user, number

pytestmark = pytest.mark.django_db


def test_every_link_leads_somewhere() -> None:
    admin = make_user("admin")
    client = client_for(admin)
    group, empty, busy = make_group(numbers=1), make_group(), make_group(numbers=2)
    carried = make_group(carrier_group="55")
    make_call_group(admin, contact_groups=(busy.pk,))
    contact = Contact.objects.get(group=group)
    row = Suppression.objects.create(number=number(1), reason="Asked")
    of_group = ["contact_group", "contact_group_edit", "contact_group_delete"]
    urls = [reverse(name, args=[each.pk]) for name in of_group for each in (group, empty, busy, carried)]
    urls += [reverse(name, args=[group.pk]) for name in ("contact_group_import", "contact_new")]
    urls += [reverse(name, args=[group.pk, contact.pk]) for name in ("contact_edit", "contact_delete")]
    urls += [reverse("suppression_remove", args=[row.list_id, row.pk])]
    of_list = ["", "_edit", "_delete", "_import", "_imports"]
    urls += [reverse(f"suppression_list{name}", args=[row.list_id]) for name in of_list]
    urls += map(reverse, ["contact_groups", "contact_group_new", "suppression", "suppression_list_new"])
    for url in urls:
        page = client.get(url)
        assert page.status_code == 200, url
        assert not dead_links(page), url
