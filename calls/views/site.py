"""Answers about the site itself."""

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

WORKER_SILENCE = 60  # seconds


@require_safe
@never_cache
@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while site, database and a worker are alive, else 503; the body names each as "ok" or "down"."""
    database, worker = _database_and_worker()
    parts = {"site": True, "database": database, "worker": worker}
    answer = {name: "ok" if alive else "down" for name, alive in parts.items()}
    return JsonResponse(answer, status=200 if all(parts.values()) else 503)


def worker_alive() -> bool:
    """Whether a worker has given a sign of life lately. Raises DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s) LIMIT 1",
            [WORKER_SILENCE],
        )
        return cursor.fetchone() is not None


def _database_and_worker() -> tuple[bool, bool]:
    try:
        return True, worker_alive()
    except DatabaseError:
        return False, False
