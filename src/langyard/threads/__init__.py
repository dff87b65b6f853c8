"""The rules of threads: lines of state that runs extend, one at a time. Called by the gateway and the rules above."""

from langyard.model.runs import Ttl
from langyard.threads.states import States
from langyard.threads.threads import Search, Thread, Threads

__all__ = ["Search", "States", "Thread", "Threads", "Ttl"]
