-- A move between two servers. Run by traksense_owner on both, but for what the fence needs, which
-- is the login's own.

-- name: server
-- Which database this is, wherever its address leads: the cluster, the database in it, the
-- server's version, and the bytes that it takes.
SELECT (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c) || '/' || d.oid,
       d.datname, pg_catalog.current_setting('server_version_num')::integer,
       pg_catalog.pg_database_size(d.oid), pg_catalog.pg_is_in_recovery()
FROM pg_catalog.pg_database d
WHERE d.datname = pg_catalog.current_database();

-- name: has_schema
-- Whether any migration was ever applied here.
SELECT pg_catalog.to_regclass('public.schema_migrations') IS NOT NULL;

-- name: engine
-- What keeps the readings here.
SELECT public.storage_engine();

-- name: versions
-- The migrations that were applied, in order.
SELECT m.version, m.name FROM public.schema_migrations m ORDER BY m.version;

-- name: jobs_left
-- Long work of releases that is not finished.
SELECT j.number, j.name FROM public.release_jobs j WHERE j.finished_at IS NULL ORDER BY j.number;

-- name: has_tenants
-- Whether this database is a platform's already.
SELECT EXISTS (SELECT FROM public.tenants);

-- name: has_readings
-- Whether there are readings here.
SELECT EXISTS (SELECT FROM public.raw_readings);

-- name: only_move
-- Whether no other move goes to this database; holds until the transaction ends.
SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('traksense.move', 0));

-- The ledger, on the target --------------------------------------------------------------------

-- name: has_ledger
-- Whether a move to here was begun.
SELECT pg_catalog.to_regclass('traksense_move.move') IS NOT NULL;

-- name: make_ledger
-- Where a move notes how far it is. It belongs to the owner, and nobody else may look into it.
CREATE SCHEMA traksense_move;
CREATE TABLE traksense_move.move (
    source text NOT NULL,
    phase text NOT NULL DEFAULT 'copying' CHECK (phase IN ('copying', 'fenced', 'done')),
    started_at timestamptz NOT NULL DEFAULT now(),
    fenced_at timestamptz,
    done_at timestamptz,
    raw_from timestamptz
);
CREATE TABLE traksense_move.days (
    stream text NOT NULL,
    day timestamptz NOT NULL,
    rows bigint NOT NULL,
    copied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream, day)
);
CREATE TABLE traksense_move.hours (
    stream text NOT NULL,
    hour timestamptz NOT NULL,
    rows bigint NOT NULL,
    checksum numeric NOT NULL,
    PRIMARY KEY (stream, hour)
);
CREATE TABLE traksense_move.rollups (
    level text NOT NULL,
    month timestamptz NOT NULL,
    buckets bigint NOT NULL,
    checksum numeric NOT NULL,
    PRIMARY KEY (level, month)
);

-- name: begin_move
-- The source that this database is filled from.
INSERT INTO traksense_move.move (source) VALUES (%(source)s);

-- name: move
-- The move that was begun.
SELECT m.source, m.phase, m.fenced_at, m.raw_from FROM traksense_move.move m;

-- name: set_phase
-- How far the move is.
UPDATE traksense_move.move
SET phase = %(phase)s,
    fenced_at = CASE %(phase)s WHEN 'copying' THEN NULL ELSE coalesce(fenced_at, clock_timestamp()) END,
    done_at = CASE %(phase)s WHEN 'done' THEN clock_timestamp() END;

-- name: set_raw_from
-- Where the readings begin that came along: older rollups cannot be computed here.
UPDATE traksense_move.move SET raw_from = %(raw_from)s;

-- name: copied_days
-- The days whose rows are here, and how many came with the day's own copy.
SELECT d.day, d.rows FROM traksense_move.days d WHERE d.stream = %(stream)s ORDER BY d.day;

-- name: note_day
-- A day is here.
INSERT INTO traksense_move.days (stream, day, rows) VALUES (%(stream)s, %(day)s, %(rows)s);

-- name: forget_day
-- A day is to be copied anew.
WITH gone AS (
    DELETE FROM traksense_move.hours
    WHERE stream = %(stream)s AND hour >= %(day)s AND hour < %(day)s + interval '1 day'
)
DELETE FROM traksense_move.days WHERE stream = %(stream)s AND day = %(day)s;

-- name: checked_hours
-- The hours that were found equal on both servers.
SELECT h.hour, h.rows, h.checksum FROM traksense_move.hours h WHERE h.stream = %(stream)s;

-- name: note_hour
-- An hour was found equal on both servers.
INSERT INTO traksense_move.hours (stream, hour, rows, checksum)
VALUES (%(stream)s, %(hour)s, %(rows)s, %(checksum)s)
ON CONFLICT (stream, hour) DO UPDATE SET rows = excluded.rows, checksum = excluded.checksum;

-- name: copied_rollups
-- The months of rollups that were copied.
SELECT r.level, r.month FROM traksense_move.rollups r;

-- name: note_rollups
-- A month of rollups is here.
INSERT INTO traksense_move.rollups (level, month, buckets, checksum)
VALUES (%(level)s, %(month)s, %(buckets)s, %(checksum)s);

-- name: drop_ledger
-- The move is over.
DROP SCHEMA traksense_move CASCADE;

-- Configuration --------------------------------------------------------------------------------

-- name: relations
-- Everything in the schema that may hold rows, but for partitions and what belongs to an
-- extension.
SELECT c.relname, c.relkind::text
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'f')
  AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
ORDER BY c.relname;

-- name: other_schemas
-- Schemas with tables that are neither ours nor the server's nor an extension's.
SELECT DISTINCT n.nspname::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('public', 'traksense_move', 'information_schema')
  AND n.nspname !~ '^(pg_|_?timescaledb_)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.deptype = 'e' AND d.objid IN (c.oid, n.oid))
ORDER BY 1;

-- name: columns
-- The columns of a table in their order, with type, whether an identity, whether generated, and
-- their place in the primary key.
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attidentity <> '',
       a.attgenerated <> '', pg_catalog.array_position(k.indkey::smallint[], a.attnum)
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_index k ON k.indrelid = a.attrelid AND k.indisprimary
WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;

-- name: references
-- Which table's rows must be there before which one's.
SELECT c.conrelid::regclass::text, c.confrelid::regclass::text
FROM pg_catalog.pg_constraint c
WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid <> c.confrelid
  AND c.connamespace = 'public'::regnamespace;

-- name: sequences
-- Sequences, and the table that each belongs to (NULL: to none).
SELECT s.relname::text, t.relname::text
FROM pg_catalog.pg_class s
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::regclass
    AND d.objid = s.oid AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_catalog.pg_class'::regclass
LEFT JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
WHERE s.relkind = 'S' AND s.relnamespace = 'public'::regnamespace
ORDER BY 1;

-- The fence ------------------------------------------------------------------------------------

-- name: fence_rights
-- What this login may do on the source: change the database's settings, end other sessions, see
-- when they began; the logins now connected whose sessions it may not end; how many prepared
-- transactions wait. Who may not see what kind a session is sees NULL.
SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       m.is_super OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'),
       m.is_super OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       (SELECT array_agg(DISTINCT a.usename::text)
        FROM pg_catalog.pg_stat_activity a
        JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
        WHERE a.datid = d.oid AND coalesce(a.backend_type, 'client backend') = 'client backend'
          AND NOT m.is_super AND NOT pg_catalog.pg_has_role(a.usesysid, 'USAGE')
          AND (r.rolsuper OR NOT pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'))),
       (SELECT count(*) FROM pg_catalog.pg_prepared_xacts x WHERE x.database = d.datname)
FROM pg_catalog.pg_database d
CROSS JOIN (SELECT r.rolsuper AS is_super FROM pg_catalog.pg_roles r
            WHERE r.rolname = current_user) m
WHERE d.datname = pg_catalog.current_database();

-- name: is_fenced
-- Whether new sessions of this database are read-only, whoever they are.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting s
    JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = pg_catalog.current_database() AND s.setrole = 0
      AND 'default_transaction_read_only=on' = ANY (s.setconfig));

-- name: today
-- Midnight UTC.
SELECT date_bin('1 day', now(), '2000-01-01 00:00Z');

-- name: clock
-- The server's clock.
SELECT pg_catalog.clock_timestamp();

-- name: end_sessions
-- Ends the sessions that began before the fence, but for the move's own; how many there were.
SELECT count(*), count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(a.pid))
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.backend_type = 'client backend'
  AND a.pid <> ALL (%(own)s) AND a.backend_start <= %(fenced_at)s;
