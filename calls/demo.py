"""Demo data for a first start on the sandbox, so that a newcomer's first call group runs within a minute."""

from io import BytesIO

from django.db import transaction

from calls.media.audio import prepare
from calls.media.tune import demo_sound
from calls.models import IVR, Contact, ContactGroup, Sound
from calls.models.media import NO_MORE

NUMBERS = [f"+4420794600{i:02}" for i in range(60)]
"""Of Ofcom's range for drama: they ring nowhere. Their last digits bring every way in which a sandbox call can end."""


def create() -> None:
    """Make contact group 1 with 60 numbers, sound 1.sound and IVR 1.ivr, unless something is there already."""
    if ContactGroup.objects.exists() or Sound.objects.exists() or IVR.objects.exists():
        return
    with transaction.atomic():
        group = ContactGroup.objects.create(name="Demo: sandbox numbers")
        Contact.objects.bulk_create(
            Contact(group=group, number=number, name=f"Sandbox {i}") for i, number in enumerate(NUMBERS, 1)
        )
        IVR.objects.create(
            number=1,
            name="Demo: delivery survey",
            keys={"1": "Delivered", "2": "Not delivered", "3": "Call me back", "9": NO_MORE},
            opt_out_key="9",
        )
        prepared = prepare(BytesIO(demo_sound()), "chime.wav")
        Sound(number=1, name="Demo: chime").keep(prepared)
