-- What is swept is found without reading what is not: the states kept apart for readers of single runs. Only runs that
-- have one are in it.
create index runs_outcome_idx on langyard.runs (finished_at) where outcome is not null;

-- An owner's few threads among all are found through the index on metadata only if they are known to be few. With the
-- usual hundred samples one that happens to be among them counts as one in a hundred, and all threads are walked instead.
alter table langyard.threads alter column metadata set statistics 1000;
