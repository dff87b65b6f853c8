"""`python -m langyard` is the command `langyard`; `serve --processes` starts its processes so."""

from langyard.cli import main

main()
