"""The routes of runs: made, waited for, streamed, joined, stopped, deleted (contract A.4 to A.7)."""
