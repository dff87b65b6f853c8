-- Who reads a thread's events, whichever run they are of: a date that its readers' process keeps moving on. The start of
-- a run looks here once. Unlogged: after a crash nobody reads any more, and whoever comes back says so again.
create unlogged table langyard.thread_readers (
    thread_id uuid primary key,
    until timestamptz not null
);
