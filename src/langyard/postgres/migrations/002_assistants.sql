-- Every order in which assistants can be listed has an index to be read in.

create index assistants_updated_idx on langyard.assistants (updated_at desc);
create index assistants_name_idx on langyard.assistants (name);
