"""`serve --processes`: what a supervisor and its children need besides `serve` itself."""
