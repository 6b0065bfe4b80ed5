"""`manage.py worker`: what happens to it when it can't tell the database that a job has ended."""

from typing import Any, cast

import psycopg
import pytest
from asgiref.sync import async_to_sync
from procrastinate import exceptions
from procrastinate.connector import BaseAsyncConnector
from procrastinate.jobs import Job, Status
from procrastinate.worker import Worker

from calls.management.commands.worker import Jobs

JOB = Job(id=1, queue="default", lock="hand-over-1-0", queueing_lock=None, task_name="calls.tasks.hand_over")


class Connector:
    """A connection to the database that is broken in this way."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause

    async def execute_query_async(self, **_: Any) -> None:
        raise exceptions.ConnectorException from self.cause


class Stopped:
    """A worker that can be told to stop."""

    told = False

    def stop(self) -> None:
        self.told = True


@pytest.mark.parametrize(
    ("cause", "ends"),
    [
        (psycopg.OperationalError("server closed the connection"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (psycopg.errors.RaiseException("Job was not found"), False),
    ],
    ids=["lost", "closed", "ended by somebody else"],
)
def test_a_worker_that_cannot_end_a_job_ends_itself(cause: Exception, ends: bool) -> None:
    """Else that job would be under way, and its lock held, for as long as the worker lives."""
    worker = Stopped()
    jobs = Jobs(cast("BaseAsyncConnector", Connector(cause)))
    jobs.worker = cast("Worker", worker)
    with pytest.raises(exceptions.ConnectorException):
        async_to_sync(jobs.finish_job)(JOB, Status.SUCCEEDED, delete_job=False)
    assert worker.told == ends
