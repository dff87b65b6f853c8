"""The only room that speaks SQL: pool, embedded server, migrations, an SQL file per noun. Everything above calls it."""
