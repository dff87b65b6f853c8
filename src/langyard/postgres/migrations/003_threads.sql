-- Every order in which threads and assistants can be listed has an index to be read in.

create index threads_state_updated_idx on langyard.threads (state_updated_at desc);
drop index langyard.threads_status_idx;
create index threads_status_idx on langyard.threads (status, updated_at desc);
