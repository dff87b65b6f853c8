-- Runs of the Agent Server API: those without a thread of the client's live on one of their own, which goes with them,
-- and whoever gave an address is told of the end.

alter table langyard.runs add column temporary boolean not null default false;
-- When the webhook is to be called next; null when there is none or it was called.
alter table langyard.runs add column webhook_at timestamptz;
alter table langyard.runs add column webhook_tries smallint not null default 0;

create index runs_temporary_idx on langyard.runs (finished_at) where temporary and finished_at is not null;
create index runs_webhook_idx on langyard.runs (webhook_at) where webhook_at is not null and finished_at is not null;
create index runs_thread_status_idx on langyard.runs (thread_id, status, created_at desc);
