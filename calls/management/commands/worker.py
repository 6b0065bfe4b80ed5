"""`manage.py worker`: run background jobs until it is told to stop."""

import asyncio
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException
from procrastinate.job_context import JobContext
from procrastinate.manager import JobManager
from procrastinate.middleware import AsyncCallNext
from procrastinate.worker import Worker

from calls.tasks import DEAD_WORKER

GRACE = 20.0
"""Seconds that running jobs get to end after the worker was told to stop."""

HEARTBEAT = DEAD_WORKER / 5
"""Seconds between two signs of life."""


class Jobs(JobManager):
    """Ends the worker where it could not be written down that a job has ended.

    That job would be under way for ever, and hold its lock, because its worker is alive. The jobs of a worker that is
    gone are given to others, and whoever looks after workers (`manage.py run`, systemd) starts it again.
    """

    worker: Worker | None = None

    async def finish_job(self, *args: Any, **options: Any) -> None:
        """As in procrastinate."""
        try:
            await super().finish_job(*args, **options)
        except ConnectorException as error:
            if self.worker and isinstance(error.__cause__, psycopg.OperationalError | psycopg.InterfaceError):
                self.worker.stop()  # type: ignore[no-untyped-call]
            raise

    async def remember_worker(self, call_next: AsyncCallNext, context: JobContext, worker: Worker) -> object:
        """Around each job: only here procrastinate says which worker it is."""
        self.worker = worker
        return await call_next()


class Command(BaseCommand):
    """Procrastinate's worker with the portal's options."""

    help = "Runs the portal's background jobs: hand-over to the carrier, status checks, plans of large call requests."

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until a signal says to stop, or the database goes away: raises CommandError."""
        try:
            asyncio.run(work())
        except (ConnectorException, psycopg.Error) as error:
            raise CommandError(f"The worker lost the database: {error.__cause__ or error}") from error


async def work() -> None:
    """Run a worker until it stops."""
    with app.replace_connector(app.connector.get_worker_connector()) as ours:  # type: ignore[attr-defined]
        jobs = ours.job_manager = Jobs(ours.connector)
        async with ours.open_async():
            await ours.run_worker_async(
                # Lanes of several call groups, and the jobs that plan, follow and tidy, run side by side.
                concurrency=settings.CARRIER_CONNECTIONS + 4,
                shutdown_graceful_timeout=GRACE,
                update_heartbeat_interval=HEARTBEAT,
                stalled_worker_timeout=DEAD_WORKER,
                worker_middleware=[jobs.remember_worker],
            )
