"""The research workflow: four agents that answer a question from documents and cite file and line."""
