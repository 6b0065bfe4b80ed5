"""Log lines without personal data."""

import logging
import re

# PostgreSQL quotes the offending row under these headings: "Key (number)=(+12025550100) already exists."
_QUOTED_ROW = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)


class PlainFormatter(logging.Formatter):
    """Formats as usual, but leaves out the rows that PostgreSQL quotes in its errors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with its traceback."""
        return _QUOTED_ROW.sub(r"\1: (left out)", super().format(record))
