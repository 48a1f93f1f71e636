"""The worker process: joins telephony, services and APScheduler."""

from app.worker.lease import WorkerRunning
from app.worker.main import Worker, run_worker

__all__ = ["Worker", "WorkerRunning", "run_worker"]
