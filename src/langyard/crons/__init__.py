"""Schedules that make runs of assistants. Called by the gateway and by `app`."""

from langyard.crons.crons import Cron, Crons, Search
from langyard.crons.schedules import Schedule

__all__ = ["Cron", "Crons", "Schedule", "Search"]
