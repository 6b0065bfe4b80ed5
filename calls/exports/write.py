"""Writing a table as a CSV file or an Excel workbook, in the same little memory however many rows it has."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import IO, Any

from django.conf import settings
from django.db import connection, transaction
from psycopg import Copy
from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from calls.exports.cells import BOM, FORMULA, TEXT, cell, line, lines, plain
from calls.exports.kinds import Made, Selected
from calls.models import ExportFormat

CONTENT_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

SHEET_ROWS = 1_048_575
"""Rows of a sheet below its headings."""

CELL_LENGTH = 32_767
"""Characters that a workbook's cell holds."""

AT_ONCE = 2_000
"""Lines that are written at once."""

COLUMN_WIDTH = 22
NOT_IN_XML = re.compile("[\ufffe\uffff]")

CUT = f"CASE WHEN length({{0}}) > {CELL_LENGTH} THEN left({{0}}, {CELL_LENGTH - 1}) || '…' ELSE {{0}} END"

Tick = Callable[[int], None]
"""Called now and then with the number of rows that are written; it may raise to end the writing."""


def write(table: Selected | Made, kind: str, file: IO[bytes], tick: Tick = lambda rows: None) -> int:
    """Write `table` to `file` as a file of this kind (:class:`ExportFormat`): the number of rows.

    Raises OSError (disk full), django.db.OperationalError, and what `tick` raises.
    """
    return _write_csv(table, file, tick) if kind == ExportFormat.CSV else _write_xlsx(table, file, tick)


# --- CSV -----------------------------------------------------------------------------------------------------------


def _write_csv(table: Selected | Made, file: IO[bytes], tick: Tick) -> int:
    if isinstance(table, Selected):
        file.write(BOM.encode() + line(cell(column.heading) for column in table.columns))
        with _copied(table, TEXT, [FORMULA]) as copy:
            return _pour(copy, file, tick)
    rows = _Counted(table.rows, tick)
    for piece in lines(table.headings, rows):
        file.write(piece)
    return rows.count


def _pour(copy: Copy, file: IO[bytes], tick: Tick) -> int:
    """PostgreSQL sends each row by itself."""
    rows, some = 0, []
    for row in copy:
        some.append(row)
        if len(some) == AT_ONCE:
            file.write(b"".join(some))
            rows += AT_ONCE
            some.clear()
            tick(rows)
    file.write(b"".join(some))
    return rows + len(some)


@contextmanager
def _copied(table: Selected, text: str, parameters: Sequence[str]) -> Iterator[Copy]:
    """The rows as lines of CSV, as PostgreSQL makes them; `text` is how cells of text are made, with its parameters."""
    made = [column.cell == TEXT for column in table.columns]
    cells = ", ".join(
        (text if is_text else column.cell).format(f"c{place}")
        for place, (column, is_text) in enumerate(zip(table.columns, made, strict=True))
    )
    names = ", ".join(f"c{place}" for place in range(len(made)))
    query = table.rows.values_list(*(column.source for column in table.columns)).query
    # A filter that finds nothing gives a table without rows.
    selected, values = query.get_compiler(connection=connection, elide_empty=False).as_sql()
    sql = f"COPY (SELECT {cells} FROM ({selected}) AS rows ({names})) TO STDOUT (FORMAT csv)"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE %s", [settings.TIME_ZONE])
        # Django leaves errors of COPY as psycopg raises them.
        with connection.wrap_database_errors, cursor.copy(sql, [*list(parameters) * sum(made), *values]) as copy:
            yield copy
        cursor.execute("SET LOCAL TIME ZONE %s", [connection.timezone_name])


class _Counted:
    """Rows that are counted while they are read."""

    def __init__(self, rows: Iterable[Sequence[Any]], tick: Tick) -> None:
        self.count, self._rows, self._tick = 0, rows, tick

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for row in self._rows:
            self.count += 1
            if self.count % AT_ONCE == 0:
                self._tick(self.count)
            yield row


# --- Excel ---------------------------------------------------------------------------------------------------------


def _write_xlsx(table: Selected | Made, file: IO[bytes], tick: Tick) -> int:
    # All cells are text, so that nothing is lost of a number, and nothing is run.
    if isinstance(table, Made):
        texts = ([_cut(plain(value)) for value in row] for row in table.rows)
        return _fill(file, table.headings, _Counted(texts, tick))
    headings = [column.heading for column in table.columns]
    with _copied(table, CUT, []) as copy:
        # A line of CSV may have line breaks in it, but each row comes by itself.
        return _fill(file, headings, _Counted(csv.reader(str(row, "utf-8") for row in copy), tick))


def _fill(file: IO[bytes], headings: Sequence[str], rows: _Counted) -> int:
    # A folder of its own: a workbook that is not finished leaves files behind.
    with TemporaryDirectory(dir=settings.FILE_UPLOAD_TEMP_DIR) as folder:
        book = Workbook(file, {"constant_memory": True, "tmpdir": folder})
        try:
            _fill_sheets(book, headings, rows)
        except BaseException:
            # Closing the book would still make a file of it all.
            for sheet in book.worksheets():
                sheet.row_data_fh.close()
            raise
        book.close()
        return rows.count


def _fill_sheets(book: Workbook, headings: Sequence[str], rows: _Counted) -> None:
    bold = book.add_format({"bold": True})
    sheet, place = _sheet(book, headings, bold), 0
    for row in rows:
        if place == SHEET_ROWS:
            sheet, place = _sheet(book, headings, bold), 0
        place += 1
        for column, text in enumerate(row):
            if text:
                sheet.write_string(place, column, text if text.isascii() else NOT_IN_XML.sub("\ufffd", text))


def _sheet(book: Workbook, headings: Sequence[str], bold: Any) -> Worksheet:
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(headings) - 1, COLUMN_WIDTH)
    for column, heading in enumerate(headings):
        sheet.write_string(0, column, _cut(heading), bold)
    return sheet


def _cut(text: str) -> str:
    return text if len(text) <= CELL_LENGTH else f"{text[: CELL_LENGTH - 1]}…"
