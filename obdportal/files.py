"""Files in DATA_DIR that several processes may want to create at the same time."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_once(path: Path, make: Callable[[], str]) -> str:
    """Return the text of the file; if there is none, make the text and keep it, readable by the owner only.

    When several processes do so at once, all of them get the same text.
    """
    if not path.exists():
        handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 600
        with os.fdopen(handle, "w") as file:
            file.write(make())
        try:
            os.link(draft, path)  # unlike a rename, it never replaces what another process has just written
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    return path.read_text().strip()
