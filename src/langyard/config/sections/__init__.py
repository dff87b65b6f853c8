"""The sections of `langgraph.json` that rooms act on, each checked in one module. Read by `app`."""
