"""The event protocol of threads: envelopes over server-sent events or a WebSocket, and commands (contract A.14)."""
