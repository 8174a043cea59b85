"""The channel that is always there: the log."""

from __future__ import annotations

from loguru import logger

from domain.catalogue import Severity
from domain.records import AlertChange


def log_alert(alert: AlertChange) -> None:
    """An alert as a line of its own, at its own severity. Never fails: loguru's sinks report their own errors."""
    level = (alert.severity or Severity.WARNING).name
    logger.log(level, "ALERT severity={} id={} {}", level, alert.alert_id, alert.text)
