"""What a worker does besides running graphs: keep its lease, watch its loop, count. Called by the worker."""
