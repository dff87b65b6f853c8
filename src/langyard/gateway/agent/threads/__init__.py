"""The routes of threads and of their state (contract A.3)."""
