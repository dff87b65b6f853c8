-- The state a run ended with, when somebody in another process waits for it: the thread's own snapshot is the next run's
-- as soon as that has ended.
alter table langyard.runs add column outcome jsonb;
