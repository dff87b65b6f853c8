from langyard.graphs import run_parallel as run_parallel
from langyard.workflows import WorkflowFailed as WorkflowFailed
from langyard.workflows import WorkflowManager as WorkflowManager
from langyard.workflows import WorkflowResult as WorkflowResult

__all__ = ["WorkflowFailed", "WorkflowManager", "WorkflowResult", "__version__", "run_parallel"]

__version__: str
