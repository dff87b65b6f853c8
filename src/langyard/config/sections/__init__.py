"""Sections of `langgraph.json` that have much to say, each checked by itself. Called by `app`, by way of `config`."""
