"""What a request passes on its way to its route: heads, the meter, the short way to the busiest ones."""
