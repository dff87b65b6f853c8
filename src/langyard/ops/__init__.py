"""Looking after a server: plain functions on its database, for the command line."""
