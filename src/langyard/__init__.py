"""Langyard: the production runtime for LangGraph."""

__version__ = "0.1.0"
