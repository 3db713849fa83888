-- name: database_figures
-- Size of the database; sessions of its server, and how many more it would take; transactions since
-- the oldest row that is not frozen. Counted where every role may look, without pg_read_all_stats.
SELECT pg_catalog.pg_database_size(pg_catalog.current_database()),
       sessions.n,
       greatest(
           0,
           pg_catalog.current_setting('max_connections')::int
           - pg_catalog.current_setting('superuser_reserved_connections')::int
           - sessions.n
       ),
       (SELECT max(pg_catalog.age(d.datfrozenxid)) FROM pg_catalog.pg_database d)
FROM (
    SELECT coalesce(sum(numbackends), 0)::int AS n FROM pg_catalog.pg_stat_database
) sessions;

-- name: offline_sweep
-- Devices silent for longer than their template allows are offline. state_at stays: a message
-- that arrived in time but is still in a queue brings the device back.
-- A row that someone is writing at this moment is of a device that just spoke, so it is passed
-- over; the others are locked in one order, as every writer does.
WITH silent AS (
    SELECT s.device_id
    FROM public.device_state s
    JOIN public.devices d ON d.id = s.device_id
    JOIN public.device_templates t ON t.id = d.template_id
    WHERE s.is_online AND greatest(s.last_seen, s.state_at) < %(now)s - t.offline_after
    ORDER BY s.device_id
    FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE public.device_state s
SET is_online = false
FROM silent
WHERE s.device_id = silent.device_id
RETURNING s.device_id;

-- name: time_out_commands
-- Commands that no ack came for in time. A row that an ack is being written to at this moment is
-- passed over; the others are locked in one order, as every writer does.
WITH due AS (
    SELECT c.cmd_id
    FROM public.commands c
    WHERE c.status = 'pending' AND c.times_out_at <= %(now)s
    ORDER BY c.cmd_id
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE public.commands c
SET status = 'timeout'
FROM due
WHERE c.cmd_id = due.cmd_id AND c.status = 'pending';

-- name: ensure_partitions
-- Day partitions from the oldest day that a reading may have to some days ahead; how many were
-- made.
SELECT public.ensure_raw_partitions(%(first)s::date, %(last)s::date);

-- name: server
-- Who answers: the server's version, the database, and the bytes of all of it.
SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database(),
       pg_catalog.pg_database_size(pg_catalog.current_database());
