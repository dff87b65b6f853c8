"""`http` of langgraph.json: the project's own application around ours, its CORS, and the way in from this process."""
