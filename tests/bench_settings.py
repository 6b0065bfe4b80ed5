"""Settings of the portal that `make bench` runs: the portal's own, and one view more."""

from obdportal.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench_urls"
