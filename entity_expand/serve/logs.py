"""Logs as JSON, one object a line, each with the id of the request that it belongs to."""

from __future__ import annotations

import contextvars
import datetime
import json
import logging
import sys
from typing import TextIO

from entity_expand.serve.telemetry import trace_id

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""The id of the request that is being answered, also in the threads that work on it."""


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON in ASCII, so that nothing in it can end the line or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; what was passed as extra={"fields": {...}} becomes members of it."""
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request, trace = REQUEST_ID.get(), trace_id()
        line |= {"request_id": request} if request else {}
        line |= {"trace_id": trace} if trace else {}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Have the logs of this project and of the server written as JSON lines, to standard error by default."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("entity_expand", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = ([], True) if "." in name else ([handler], False)
        logger.setLevel(level)
