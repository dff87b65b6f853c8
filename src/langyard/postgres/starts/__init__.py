"""How runs begin to be: each by itself, or those that are asked for at the same moment together."""

from langyard.postgres.starts.alone import Started, start, start_params, superseding
from langyard.postgres.starts.together import Starts

__all__ = ["Started", "Starts", "start", "start_params", "superseding"]
