"""What an agent says of itself before anybody talks to it. For the routes."""

from __future__ import annotations

from langyard import __version__
from langyard.assistants import Assistant
from langyard.gateway.protocols.rpc import Json

_MODES = ["application/json", "text/plain"]


def card_of(assistant: Assistant, url: str) -> Json:
    """The agent's card, readable by clients of either version."""
    description = assistant.description or f"The assistant {assistant.name}."
    return {
        "name": assistant.name,
        "description": description,
        "version": str(assistant.version),
        "url": url,
        "protocolVersion": "0.3.0",
        "preferredTransport": "JSONRPC",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ],
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "stateTransitionHistory": False,
            "extensions": [],
        },
        "defaultInputModes": _MODES,
        "defaultOutputModes": _MODES,
        "skills": [
            {
                "id": f"{assistant.assistant_id}-main",
                "name": assistant.name,
                "description": description,
                "tags": ["langgraph", assistant.graph_id],
                "inputModes": _MODES,
                "outputModes": _MODES,
            }
        ],
        "provider": {"organization": f"Langyard {__version__}", "url": url},
    }
