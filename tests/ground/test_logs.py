"""Logs say what went wrong, but not with whose data."""

import logging
import sys

import pytest
from django.db import IntegrityError, connection, transaction

from obdportal.logs import PlainFormatter, is_news


@pytest.mark.django_db
def test_rows_in_database_errors_are_left_out() -> None:
    number = f"+44207946{1:04}"  # written such that the traceback does not quote it from here
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE t (number text UNIQUE)")
        cursor.execute("INSERT INTO t VALUES (%s)", [number])
        try:
            with transaction.atomic():
                cursor.execute("INSERT INTO t VALUES (%s)", [number])
        except IntegrityError as error:
            record = logging.LogRecord("calls", logging.ERROR, "", 0, "Failed: %s", (error,), sys.exc_info())
    line = PlainFormatter().format(record)
    assert "duplicate key" in line
    assert "Traceback" in line
    assert number not in line


@pytest.mark.parametrize(("status", "news"), [(503, False), (500, True), (404, True)])
def test_health_checks_are_no_news(status: int, news: bool) -> None:
    record = logging.makeLogRecord({"status_code": status})
    assert is_news(record) is news
    assert is_news(logging.makeLogRecord({}))
