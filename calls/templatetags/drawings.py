"""Geometry of the drawings: numbers in, places and sizes of SVG rectangles out, as text ready for attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calls.templatetags.looks import STATUS_ORDER, look_of

TOP, HEIGHT = 10, 140
"""Pixels above the bars of the hour chart, and the height of its highest bar."""


def segments(tally: Mapping[str, int], whole: int) -> list[dict[str, Any]]:
    """The parts of a disposition bar, in per cent of its width, in the order of STATUS_ORDER."""
    parts, x = [], 0.0
    for status in sorted(tally, key=_place):
        if tally[status]:
            width = 100 * tally[status] / whole
            look = look_of(status)
            parts.append(
                {"status": status, "look": look, "count": tally[status], "x": f"{x:.3f}", "width": f"{width:.3f}"}
            )
            x += width
    return parts


def waveform_bars(peaks: Sequence[float]) -> list[dict[str, Any]]:
    """Bars of 3 units, 4 apart, about the middle of a height of 100; silence keeps a line of 2."""
    heights = [max(2.0, min(100.0, float(peak))) for peak in peaks]
    return [
        {"x": place * 4, "y": f"{50 - height / 2:.1f}", "height": f"{height:.1f}"}
        for place, height in enumerate(heights)
    ]


@dataclass(frozen=True)
class HourChart:
    """Stacked columns: across in per cent (any width), upwards in pixels.

    `hours` are pairs of the hour and its counts by status; `now` is the present hour.
    """

    hours: list[tuple[int, dict[str, int]]]
    now: int | None = None

    @property
    def statuses(self) -> list[str]:
        """The statuses that occur, in the order in which they are stacked."""
        return sorted({status for _, counts in self.hours for status, number in counts.items() if number}, key=_place)

    def looks(self) -> list[dict[str, Any]]:
        """The legend."""
        return [{"status": status, "look": look_of(status)} for status in self.statuses]

    def top(self) -> int:
        """The number of calls at the top of the axis."""
        return round_up(max((sum(counts.values()) for _, counts in self.hours), default=0))

    def lines(self) -> list[dict[str, Any]]:
        """The base line, the middle and the top with their numbers of calls."""
        top = self.top()
        return [{"y": f"{TOP + HEIGHT * (1 - half / 2):.1f}", "value": top * half // 2} for half in (0, 1, 2)]

    def columns(self) -> list[dict[str, Any]]:
        """One column an hour, with what its tooltip and the row of the table say."""
        statuses, top, step = self.statuses, self.top(), 100 / max(len(self.hours), 1)
        return [
            {
                "hour": f"{hour:02}",
                "left": f"{place * step:.2f}",
                "step": f"{step:.2f}",
                "x": f"{(place + 0.16) * step:.2f}",
                "width": f"{step * 0.68:.2f}",
                "middle": f"{(place + 0.5) * step:.2f}",
                "labelled": hour % 3 == 0,
                "odd": hour % 6 != 0,
                "is_now": hour == self.now,
                "total": sum(counts.values()),
                "segments": _stack([(status, counts.get(status, 0)) for status in statuses], top),
                "cells": [counts.get(status, 0) for status in statuses],
                "said": ", ".join(f"{look_of(key).word} {counts[key]:,}" for key in statuses if counts.get(key)),
            }
            for place, (hour, counts) in enumerate(self.hours)
        ]


def round_up(number: int) -> int:
    """The next round number that can be halved, for the top of an axis: 7 -> 8, 23 -> 30, 140 -> 150."""
    size: int = 10 ** (len(str(max(number, 1))) - 1)
    tops = (size * tenths // 10 for tenths in (10, 15, 20, 30, 40, 50, 60, 80, 100))
    return next(top for top in tops if top >= number and top % 2 == 0)


def _stack(counts: list[tuple[str, int]], top: int) -> list[dict[str, str]]:
    """The rectangles of one column from the base line upwards."""
    y, stack = float(TOP + HEIGHT), []
    for status, number in counts:
        if number:
            height = HEIGHT * number / top
            y -= height
            stack.append({"css": look_of(status).css, "y": f"{y:.2f}", "height": f"{height:.2f}"})
    return stack


def _place(status: str) -> tuple[int, str]:
    """Statuses in the order in which they are drawn; unknown ones last."""
    return (STATUS_ORDER.index(status) if status in STATUS_ORDER else len(STATUS_ORDER), status)
