"""The Agent Server API, wire-compatible with LangGraph's own: one file per noun, each mounted by `gateway.create`."""
