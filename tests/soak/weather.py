"""How storms go."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Weather:
    """One storm.

    `workers`, `web` and `database` are how often each of them dies, `deaf` how often the carrier takes no connections
    for a while; all that within `seconds`. Calls are started within the part `spread` of them, at most `largest` in one
    request; `connections` and `rate` are what the portal may use. The carrier thinks up to `thinks` seconds.
    """

    name: str
    calls: int
    largest: int
    seconds: float
    workers: int
    web: int
    database: int
    deaf: int
    connections: int
    rate: float
    spread: float = 0.9
    thinks: float = 0.1


def full(calls: int) -> list[Weather]:
    """What `make soak` runs."""
    return [
        Weather("storm", calls, 2000, 190, 105, 5, 6, 4, connections=12, rate=60),
        Weather("pace", calls // 40, 5, 15, 4, 0, 0, 1, connections=4, rate=20, spread=0, thinks=0.2),
    ]


def small(calls: int) -> list[Weather]:
    """What the tests run: both in one, without what makes everybody wait (a carrier that takes no connections)."""
    return [Weather("small storm", calls, 80, 11, 6, 1, 1, 0, connections=8, rate=20, spread=0.5)]
