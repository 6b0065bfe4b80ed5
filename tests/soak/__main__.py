"""`make soak`: a storm, then one that looks at the pace. SEED= and CALLS= choose others; ends by itself in minutes.

Prints the seed, figures, and what did not hold; the exit status says whether all held. STORM=small is what the tests
run.
"""

import atexit
import os
import random
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import phonenumbers

from tests.soak.processes import ROOT, Database, Portal, own_settings, temporary_folder
from tests.soak.weather import Weather, full, small

TIMEOUT = 2


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main() -> int:
    """Run it all; the exit status."""
    seed = int(os.environ.get("SEED") or random.randrange(10**6))
    is_small = os.environ.get("STORM") == "small"
    calls = int(os.environ.get("CALLS") or (1_500 if is_small else 20_000))
    weathers = small(calls) if is_small else full(calls)
    print(f"seed {seed}: SEED={seed} CALLS={calls} make soak", flush=True)
    folder = temporary_folder()
    folder.mkdir()
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)  # after the database has ended
    port = free_port()
    own_settings(
        DATA_DIR=str(folder),
        SECRET_KEY="only for this storm",
        PORT=str(port),
        PUBLIC_URL=f"http://127.0.0.1:{port}",
        WEB_PROCESSES="1",
        CARRIER="obd",
        OBD_TIMEOUT=str(TIMEOUT),
        CALLING_HOURS="00:00-24:00",
        DEFAULT_REGION="GB",
        ADMIN_PASSWORD="only for this storm",
    )
    database = Database(folder)
    os.environ["DATABASE_URL"] = database.url
    log = folder / "log"
    held = False
    try:
        held = storms(seed, weathers, database, log)
    finally:
        if not held and log.exists():
            kept = ROOT / ".cache/soak.log"
            kept.parent.mkdir(exist_ok=True)
            shutil.copy(log, kept)
            print(f"What the portal's processes said: {kept}")
    return 0 if held else 1


def storms(seed: int, weathers: Sequence[Weather], database: Database, log: Path) -> bool:
    """Set Django up and run the storms one after the other: whether all held."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from calls.models import Sound
    from tests.obd_server import KEY
    from tests.soak import storm
    from tests.soak.carrier import StormCarrier

    storm.AREAS += [
        area for area in range(201, 990) if phonenumbers.is_valid_number(phonenumbers.parse(f"+1{area}5550142"))
    ]
    call_command("migrate", interactive=False, verbosity=0)
    call_command("bootstrap", verbosity=0)
    Sound.objects.create(number=1, name="Greeting")
    with ExitStack() as stack:
        portal = stack.enter_context(Portal(log))
        carrier = stack.enter_context(StormCarrier(seed, lambda: portal.pids, portal.kill_worker))
        os.environ |= {"OBD_BASE_URL": carrier.url, "OBD_API_KEY": KEY}
        settings.OBD_BASE_URL, settings.OBD_API_KEY = carrier.url, KEY
        portal.serve()
        scene = storm.Scene(portal, database, carrier)
        number = 0
        for weather in weathers:
            run = storm.Storm(seed, weather, scene, number)
            number += weather.calls
            began = time.monotonic()
            try:
                run.run()
            except storm.Failed as error:
                print(f"\n{weather.name}: FAILED after {time.monotonic() - began:.0f} s\n{error}")
                return False
            finally:
                print(f"\n{weather.name}")
                print("\n".join(f"{value:>12}  {what}" for what, value in run.figures.rows.items()), flush=True)
    print("\nAll held.")
    return True


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped.")
