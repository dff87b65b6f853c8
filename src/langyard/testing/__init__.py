"""Contract suites for every port that has more than one adapter: whoever writes another runs the same."""
