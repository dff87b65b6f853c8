"""Assistants as other protocols know them: tools of MCP, agents of A2A (contract A.11 and A.12)."""
