"""What the tests of the ground share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ground.processes import clean_up


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Give the test a DATA_DIR; end what runs in it afterwards.

    It is not in tmp_path: pytest closes the folders above that to other accounts, and as root the database runs under
    an account of its own.
    """
    with tempfile.TemporaryDirectory(prefix="obdportal-", ignore_cleanup_errors=True) as folder:
        path = Path(folder).resolve() / "var"
        path.mkdir()
        yield path
        clean_up(path)
