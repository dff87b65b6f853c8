-- The runtime's own tables. LangGraph's checkpoint and store tables are its own (set up by the same command).

create table langyard.assistants (
    assistant_id uuid primary key,
    graph_id text not null,
    name text not null,
    description text,
    config jsonb not null default '{}',
    context jsonb not null default '{}',
    metadata jsonb not null default '{}',
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index assistants_graph_idx on langyard.assistants (graph_id, created_at desc);
create index assistants_created_idx on langyard.assistants (created_at desc);
create index assistants_metadata_idx on langyard.assistants using gin (metadata jsonb_path_ops);

create table langyard.assistant_versions (
    assistant_id uuid not null references langyard.assistants on delete cascade,
    version integer not null,
    graph_id text not null,
    name text not null,
    description text,
    config jsonb not null,
    context jsonb not null,
    metadata jsonb not null,
    created_at timestamptz not null default now(),
    primary key (assistant_id, version)
);

-- open_runs counts the thread's pending and running runs, so that whether it is busy is one row's matter.
-- revision grows with every finished run and every state update: a checkpoint read under an older one is stale.
create table langyard.threads (
    thread_id uuid primary key,
    status text not null default 'idle' check (status in ('idle', 'busy', 'interrupted', 'error')),
    metadata jsonb not null default '{}',
    config jsonb not null default '{}',
    "values" jsonb,
    interrupts jsonb not null default '{}',
    error jsonb,
    open_runs integer not null default 0 check (open_runs >= 0),
    revision bigint not null default 0,
    ttl_strategy text check (ttl_strategy in ('delete', 'keep_latest')),
    ttl interval,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    state_updated_at timestamptz not null default now()
) with (fillfactor = 80);
create index threads_updated_idx on langyard.threads (updated_at desc);
create index threads_created_idx on langyard.threads (created_at desc);
create index threads_status_idx on langyard.threads (status, updated_at desc) where status <> 'idle';
create index threads_metadata_idx on langyard.threads using gin (metadata jsonb_path_ops);
create index threads_expires_idx on langyard.threads (expires_at) where expires_at is not null;

-- A worker lives as long as it renews; its runs are its own as long as it lives.
create table langyard.workers (
    worker_id uuid primary key,
    host text not null,
    pid integer not null,
    version text not null,
    slots integer not null,
    graphs text[] not null,
    started_at timestamptz not null default now(),
    renewed_at timestamptz not null default now(),
    expires_at timestamptz not null
);

create table langyard.runs (
    run_id uuid primary key,
    thread_id uuid not null references langyard.threads on delete cascade,
    assistant_id uuid,
    graph_id text not null,
    user_id text,
    status text not null default 'pending'
        check (status in ('pending', 'running', 'success', 'error', 'timeout', 'interrupted')),
    kwargs json not null,
    metadata jsonb not null default '{}',
    multitask_strategy text not null default 'enqueue'
        check (multitask_strategy in ('reject', 'enqueue', 'interrupt', 'rollback')),
    priority smallint not null default 0,
    attempt integer not null default 0,
    fence bigint not null default 0,
    worker_id uuid,
    cancel_action text check (cancel_action in ('interrupt', 'rollback')),
    cancel_reason text,
    -- Somebody in another process waits for the end, or reads the events: only then are they told of.
    watched boolean not null default false,
    followed boolean not null default false,
    error jsonb,
    available_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    check ((status = 'running') = (worker_id is not null))
) with (fillfactor = 80);
-- A thread runs one run at a time: not a habit of the code but a fact of the database.
create unique index runs_one_running_idx on langyard.runs (thread_id) where status = 'running';
create index runs_pending_idx on langyard.runs (priority, available_at, run_id) where status = 'pending';
create index runs_open_idx on langyard.runs (thread_id, created_at, run_id) where status in ('pending', 'running');
create index runs_thread_idx on langyard.runs (thread_id, created_at desc);
create index runs_worker_idx on langyard.runs (worker_id) where status = 'running';

-- What a stream showed, for readers elsewhere or later; seq orders all events of a thread.
create table langyard.events (
    run_id uuid not null,
    seq bigint not null,
    thread_id uuid not null,
    event text not null,
    data bytea not null,
    created_at timestamptz not null default now(),
    primary key (run_id, seq)
);
create index events_thread_idx on langyard.events (thread_id, seq);
create index events_created_idx on langyard.events (created_at);

create table langyard.sessions (
    session_id text primary key,
    user_id text not null,
    thread_id uuid not null unique references langyard.threads on delete cascade,
    data jsonb not null default '{}',
    ttl interval not null,
    created_at timestamptz not null default now(),
    last_accessed timestamptz not null default now(),
    expires_at timestamptz not null
) with (fillfactor = 80);
create index sessions_user_idx on langyard.sessions (user_id, last_accessed desc);
create index sessions_expires_idx on langyard.sessions (expires_at);

create table langyard.idempotency_keys (
    user_id text not null,
    key text not null,
    fingerprint bytea not null,
    run_id uuid not null,
    status smallint,
    content_type text,
    body bytea,
    created_at timestamptz not null default now(),
    primary key (user_id, key)
);
create index idempotency_keys_created_idx on langyard.idempotency_keys (created_at);
