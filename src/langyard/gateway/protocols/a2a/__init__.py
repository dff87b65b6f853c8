"""The Agent2Agent protocol at `/a2a/{assistant_id}`: an assistant is an agent, a thread a context, a run a task.

Both versions that clients speak are answered, each in its own form: 1.0 and 0.3 (contract A.12).
"""
