-- What is swept is found without reading what is not: the states kept apart for readers of single runs. Only runs that
-- have one are in it.
create index runs_outcome_idx on langyard.runs (finished_at) where outcome is not null;
