"""How a run leaves its worker otherwise than by its own end: stopped, to be tried again, or through a fault of ours."""
