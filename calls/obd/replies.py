"""Answers of the OBD API: the data, how they are written and how they are read (OBD-API.md)."""

from calls.obd.parse import parse
from calls.obd.render import render
from calls.obd.reply import SUCCESS, Reply, Row, UnreadableReply, printable

__all__ = ["SUCCESS", "Reply", "Row", "UnreadableReply", "parse", "printable", "render"]
