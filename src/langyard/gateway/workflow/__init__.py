"""The routes of workflows in sessions: what `POST /workflow/…`, `/workflows` and `/sessions` read, do and answer."""
