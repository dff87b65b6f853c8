"""Who is asking and what they may: the project's own `langgraph_sdk.Auth`, asked by the gateway for each request."""

from langyard.auth.gate import Cache, Gate, Refused
from langyard.auth.standing import Standing
from langyard.auth.users import remembered, shown

__all__ = ["Cache", "Gate", "Refused", "Standing", "remembered", "shown"]
