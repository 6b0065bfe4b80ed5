"""Small tags and filters of the pages: icons, badges, times, numbers, drawings, navigation (docs/looks.md)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django import template
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from calls.contacts.numbers import pretty
from calls.dialing.attention import COUNTED, waiting
from calls.models import User
from calls.templatetags import drawings
from calls.templatetags.looks import NAVIGATION, look_of

register = template.Library()

NOTHING = "\N{EN DASH}"
"""Shown where there is no value."""


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Draw the icon `name` of static/img/icons.svg; it is decoration, the words beside it carry the meaning."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false" width="18" height="18"><use href="{}#{}"/></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


@register.simple_tag
def status_badge(status: Any, word: str = "") -> SafeString:
    """Badge of a call's status, a call group's state or a batch's state: icon, word and colour.

    An unknown word of a carrier is shown as it came. `word` replaces the badge's own word.
    """
    look = look_of(str(status))
    return format_html(
        '<span class="badge badge-{}" data-status="{}">{}{}</span>',
        look.css,
        status,
        icon(look.icon),
        word or look.word,
    )


@register.filter
def status_word(status: Any) -> str:
    """The plain word of a status: `NOANSWER` is "No answer"."""
    return look_of(str(status)).word


@register.simple_tag
def local_time(moment: datetime | None, style: str = "full") -> SafeString | str:
    """Show an aware time in the portal's zone.

    `full` is "14 Mar 2026, 10:15:03 IST"; `short` leaves out the zone, and the date if it is today
    (for columns whose heading names the zone); `minute` is `full` without seconds; `clock` is the time alone.
    The full form is always in the title and the machine-readable one in `datetime`.
    """
    if moment is None:
        return NOTHING
    local = timezone.localtime(moment)
    day = f"{local.day} {local:%b %Y}"
    full = f"{day}, {local:%H:%M:%S} {zone_of(local)}"
    if style == "short":
        text = f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else f"{local.day} {local:%b %H:%M:%S}"
    elif style == "minute":
        text = f"{day}, {local:%H:%M} {zone_of(local)}"
    elif style == "clock":
        text = f"{local:%H:%M:%S}"
    else:
        text = full
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>', local.isoformat(timespec="seconds"), full, text
    )


@register.simple_tag
def local_date(day: date | datetime | None) -> SafeString | str:
    """Show a date, of an aware time in the portal's zone: "14 Mar 2026"."""
    if day is None:
        return NOTHING
    if isinstance(day, datetime):
        day = timezone.localtime(day).date()
    return format_html('<time class="nowrap" datetime="{}">{} {}</time>', day.isoformat(), day.day, f"{day:%b %Y}")


@register.simple_tag
def zone_name(moment: datetime | None = None) -> str:
    """The short name of the portal's zone, such as `IST`; of `moment` where daylight saving matters."""
    return zone_of(timezone.localtime(moment))


def zone_of(local: datetime) -> str:
    """The zone of an aware time as people write it; a zone that has no letters is given as its offset."""
    name = local.tzname() or ""
    return f"UTC{name}" if name[:1] in "+-" else name


@register.filter
def phone(number: str | None) -> SafeString | str:
    """An E.164 number in international form, kept in one piece."""
    return format_html('<span class="phone">{}</span>', pretty(number)) if number else NOTHING


@register.filter
def duration(seconds: float | timedelta | None) -> str:
    """Seconds as people say them: "0:07", "12:30", "1:02:30"."""
    if seconds is None:
        return NOTHING
    whole = round(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@register.filter
def about(seconds: float | timedelta | None) -> str:
    """A rough length for estimates: "less than a minute", "about 5 minutes", "about 3.5 hours"."""
    if seconds is None:
        return NOTHING
    minutes = (seconds.total_seconds() if isinstance(seconds, timedelta) else seconds) / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        whole = round(minutes)
        return f"about {whole} minute{'' if whole == 1 else 's'}"
    if minutes < 48 * 60:
        return f"about {round(minutes / 60, 1):g} hours"
    return f"about {round(minutes / 1440)} days"


@register.filter
def count(number: int | None) -> str:
    """A whole number with thousands set apart: 1,234,567."""
    return NOTHING if number is None else f"{number:,}"


@register.filter
def percent(part: float | None, whole: float | None = None) -> str:
    """`part` of `whole` in per cent; without `whole`, `part` is a ratio from 0 to 1.

    Never rounds up to 100 nor down to 0: "nearly all" and "hardly any" are not "all" and "none".
    """
    if part is None or (whole is not None and not whole):
        return NOTHING
    share = 100 * (part if whole is None else part / whole)
    if 0 < share < 0.1:
        return "<0.1%"
    if 99.9 < share < 100:
        return ">99.9%"
    return f"{share:.1f}".removesuffix(".0") + "%"


@register.inclusion_tag("components/disposition_bar.html")
def disposition_bar(
    tally: Mapping[str, int], total: int | None = None, *, legend: bool = True, label: str = "", thick: bool = False
) -> dict[str, Any]:
    """Draw how many calls have which status: a bar and, unless `legend` is false, the figures in words.

    `tally` maps statuses to counts; `total` defaults to their sum (give more to leave room for calls not yet planned).
    """
    whole = total or sum(tally.values())
    return {
        "segments": drawings.segments(tally, whole),
        "total": whole,
        "legend": legend,
        "label": label,
        "thick": thick,
    }


@register.inclusion_tag("components/hour_chart.html")
def hour_chart(
    hours: Iterable[Mapping[str, Any]], now: int | None = None, title: str = "Calls by hour"
) -> dict[str, Any]:
    """Draw stacked bars of calls by hour, with a table of the same figures for those who don't see it.

    `hours` has one mapping an hour, `{"hour": 9, "counts": {"COMPLETED": 12, "BUSY": 3}}`; `now` marks the present one.
    """
    chart = drawings.HourChart([(int(row["hour"]), dict(row["counts"])) for row in hours], now)
    return {"title": title, "columns": chart.columns(), "lines": chart.lines(), "looks": chart.looks()}


@register.inclusion_tag("components/waveform.html")
def waveform(
    peaks: Sequence[float], audio: str = "", *, label: str = "Waveform", small: bool = False
) -> dict[str, Any]:
    """Draw a sound from its heights, 0 to 100. `audio` is the id of the <audio> whose position is shown in it."""
    bars = drawings.waveform_bars(peaks)
    return {"bars": bars, "width": max(len(bars) * 4 - 1, 1), "audio": audio, "label": label, "small": small}


@register.simple_tag(takes_context=True)
def navigation(context: template.Context) -> list[dict[str, Any]]:
    """The links of the side navigation that this user may follow; the one that leads here is marked current."""
    request: HttpRequest | None = context.get("request")
    path = request.path if request else ""
    user = context.get("user")
    counts = {"attention": waiting(user)} if isinstance(user, User) and user.has_perm("calls.view_callgroup") else {}
    sections: list[dict[str, Any]] = []
    for title, links in NAVIGATION:
        found = [
            {
                "name": link.name,
                "label": link.label,
                "icon": link.icon,
                "url": url,
                "current": "",
                "count": _bounded(counts.get(link.name, 0)),
            }
            for link in links
            if link.allowed(user) and (url := _url_of(link.name))
        ]
        sections.append({"title": title, "links": found})
    here = max(
        (link for section in sections for link in section["links"] if _leads_here(link["url"], path)),
        key=lambda link: len(link["url"]),
        default=None,
    )
    if here:
        here["current"] = "page" if here["url"] == path else "true"
    return [section for section in sections if section["links"]]


def _bounded(number: int) -> str:
    """A number beside a link: nothing for none, "99+" for more than are counted."""
    return f"{COUNTED}+" if number > COUNTED else str(number or "")


def _leads_here(url: str, path: str) -> bool:
    """True if `path` is the page at `url` or lies below it; the dashboard at / has nothing below."""
    return path == url or (url != "/" and path.startswith(url.rstrip("/") + "/"))


def _url_of(name: str) -> str:
    """The address of a page, or nothing where the portal has no such page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
