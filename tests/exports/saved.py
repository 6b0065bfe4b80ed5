"""Exports as a browser saves them."""

import csv
import io
from typing import Any

from django.test import Client
from python_calamine import CalamineWorkbook

NEW = "/exports/new/"


def export(client: Client, kind: str, of: int | str = "", query: str = "", kind_of_file: str = "csv") -> Any:
    """The answer to the button."""
    return client.post(NEW, {"kind": kind, "of": of, "query": query, "format": kind_of_file})


def rows_of(answer: Any) -> list[list[str]]:
    """The rows of a CSV file, its headings first."""
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    data = b"".join(answer)
    assert int(answer["Content-Length"]) == len(data)
    text = data.decode()
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text[1:], newline="")))


def saved(client: Client, kind: str, of: int | str = "", query: str = "") -> list[list[str]]:
    """The rows of the CSV file, without its headings."""
    return rows_of(export(client, kind, of, query))[1:]


def sheets_of(data: bytes) -> list[list[list[Any]]]:
    """The rows of each sheet of a workbook."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return [book.get_sheet_by_name(name).to_python() for name in book.sheet_names]
