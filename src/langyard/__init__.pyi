from langyard.graphs import run_parallel as run_parallel
from langyard.worker.effects import effect as effect
from langyard.workflows import WorkflowFailed as WorkflowFailed
from langyard.workflows import WorkflowManager as WorkflowManager
from langyard.workflows import WorkflowResult as WorkflowResult

__all__ = ["WorkflowFailed", "WorkflowManager", "WorkflowResult", "__version__", "effect", "run_parallel"]

__version__: str
