"""Langyard: the production runtime for LangGraph."""

import os

# LangGraph reads this once, when it is first imported, and everything of ours that imports it passes here first.
# Strict: a checkpoint may only revive the types that its graph's own schemas name.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")

__version__ = "0.1.0"
