"""The background process: the one place that joins the telephone side, the services and APScheduler."""

from app.worker.main import Worker, run_worker

__all__ = ["Worker", "run_worker"]
