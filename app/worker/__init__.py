"""The background process: the one place that joins the telephone side, the services and APScheduler."""

from app.worker.main import Worker, run_worker
from app.worker.watch import OnlyOne

__all__ = ["OnlyOne", "Worker", "run_worker"]
