"""Log lines without personal data."""

import http
import logging
import re

# PostgreSQL quotes the offending row under these headings: "Key (number)=(+12025550100) already exists."
_QUOTED_ROW = re.compile(r"^(DETAIL|CONTEXT):.*$", re.MULTILINE)

# Whoever has the token of a batch can report its calls.
_TOKEN = re.compile(r"(/carrier/callbacks/)[^/\s]+")


class PlainFormatter(logging.Formatter):
    """Formats as usual, but leaves out the rows that PostgreSQL quotes in its errors, and tokens in paths."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with its traceback."""
        return _TOKEN.sub(r"\1(token)", _QUOTED_ROW.sub(r"\1: (left out)", super().format(record)))


def is_news(record: logging.LogRecord) -> bool:
    """Tell whether a record is worth a line.

    Not that /healthz answered 503, which its reader knows already, nor that somebody made up a carrier's callback, who
    could fill the disk with such lines.
    """
    status = getattr(record, "status_code", None)
    if status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.METHOD_NOT_ALLOWED):
        return "/carrier/callbacks/" not in record.getMessage()
    return status != http.HTTPStatus.SERVICE_UNAVAILABLE
