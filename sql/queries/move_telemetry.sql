-- What a move copies by time: readings, messages and rollups. Run by traksense_owner on both servers.
-- A name that ends with an engine is asked of servers with that engine.

-- Readings -------------------------------------------------------------------------------------

-- name: readings_days_plain
-- The UTC days of which there is a partition.
SELECT b.first FROM public.partition_bounds('public.m_raw'::regclass) b ORDER BY b.first;

-- name: readings_days_timescale
-- The UTC days of which there is a chunk.
SELECT k.first FROM public.level_chunks('raw') k ORDER BY k.first;

-- name: readings_count_day_plain
-- The readings of a day, without opening a segment.
SELECT (SELECT coalesce(sum(s.n), 0) FROM public.m_segment s WHERE s.day = %(day)s)
       + (SELECT count(*) FROM public.m_raw m
          WHERE m.ts >= %(day)s AND m.ts < %(day)s + interval '1 day');

-- name: readings_count_day_timescale
-- The readings of a day.
SELECT count(*) FROM public.m_raw m WHERE m.ts >= %(day)s AND m.ts < %(day)s + interval '1 day';

-- name: readings_count_hours
-- The readings of each hour of a span within one day.
SELECT date_bin('1 hour', r.ts, '2000-01-01 00:00Z'), count(*)
FROM public.raw_readings r
WHERE r.ts >= %(first)s AND r.ts < %(ends)s
  AND r.stored >= date_bin('1 day', %(first)s, '2000-01-01 00:00Z') AND r.stored < %(ends)s
GROUP BY 1;

-- name: readings_check_hours
-- Count and checksum of each hour of a span within one day. The sum does not depend on the order
-- of rows, and the text of a row neither on the server's version nor on its settings: floats in
-- their shortest exact form, instants as seconds since the Unix epoch (exact to the microsecond),
-- JSON in its canonical one.
SELECT date_bin('1 hour', r.ts, '2000-01-01 00:00Z'), count(*),
       sum(hashtextextended(
           concat_ws('|', r.point_sk, date_part('epoch', r.ts), coalesce(r.v_num::text, ''),
                     coalesce(r.v_bool::text, ''), coalesce(quote_literal(r.v_text), ''), r.qual,
                     coalesce(r.meta::text, '')) COLLATE "C", 0))
FROM public.raw_readings r
WHERE r.ts >= %(first)s AND r.ts < %(ends)s
  AND r.stored >= date_bin('1 day', %(first)s, '2000-01-01 00:00Z') AND r.stored < %(ends)s
GROUP BY 1;

-- name: readings_read
-- The readings of a span within one day, in the order in which they are stored best.
COPY (
    SELECT r.ts, r.v_num, r.point_sk, r.qual, r.v_bool, r.v_text, r.meta
    FROM public.raw_readings r
    WHERE r.ts >= %(first)s AND r.ts < %(ends)s
      AND r.stored >= date_bin('1 day', %(first)s::timestamptz, '2000-01-01 00:00Z')
      AND r.stored < %(ends)s
    ORDER BY r.point_sk, r.ts
) TO STDOUT (FORMAT BINARY);

-- name: readings_write
-- A day's readings, none of which is there yet.
COPY public.m_raw (ts, v_num, point_sk, qual, v_bool, v_text, meta) FROM STDIN (FORMAT BINARY);

-- name: readings_stage
-- Where readings wait that may be there in part.
CREATE TEMPORARY TABLE staged_readings (
    ts timestamptz, v_num float8, point_sk integer, qual smallint, v_bool boolean, v_text text,
    meta jsonb
) ON COMMIT DROP;

-- name: readings_write_staged
-- Readings that may be there in part.
COPY pg_temp.staged_readings (ts, v_num, point_sk, qual, v_bool, v_text, meta)
FROM STDIN (FORMAT BINARY);

-- name: readings_ensure_day
-- Room for a day of readings.
SELECT public.ensure_raw_partitions((%(day)s AT TIME ZONE 'UTC')::date,
                                    (%(day)s AT TIME ZONE 'UTC')::date);

-- name: is_closed_plain
-- Whether a day takes no rows straight any more.
SELECT EXISTS (SELECT FROM public.closed_days k
               WHERE k.day = (%(day)s AT TIME ZONE 'UTC')::date);

-- name: is_closed_timescale
-- Whether a day takes no rows straight any more: every day does.
SELECT false WHERE %(day)s IS NOT NULL;

-- name: watermark
-- Up to where minutes are sealed (NULL: none is), and under which pass their minutes are marked: the first thing in a
-- transaction that adds readings.
SELECT '2000-01-01 00:00Z'::timestamptz
       + (w.sealed_us - 946684800000000) * interval '1 microsecond', w.pass
FROM public.rollup_watermark() w;

-- name: readings_add
-- What of the staged readings is not there yet; how many.
WITH added AS (
    INSERT INTO public.m_raw (ts, v_num, point_sk, qual, v_bool, v_text, meta)
    SELECT s.ts, s.v_num, s.point_sk, s.qual, s.v_bool, s.v_text, s.meta
    FROM pg_temp.staged_readings s
    ORDER BY s.point_sk, s.ts
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM added;

-- name: readings_add_to_closed
-- The same for a closed day.
SELECT public.add_late_readings(
    array_agg(s.ts), array_agg(s.v_num), array_agg(s.point_sk), array_agg(s.v_bool),
    array_agg(s.v_text), array_agg(s.meta))
FROM (SELECT r.* FROM pg_temp.staged_readings r ORDER BY r.point_sk, r.ts) s;

-- name: readings_mark
-- The minutes of staged readings that the rollups have passed already. A mark too many costs a
-- minute's computing.
INSERT INTO public.rollup_dirty (pass, point_sk, bucket)
SELECT DISTINCT %(pass)s::bigint, s.point_sk, date_bin('1 minute', s.ts, '2000-01-01 00:00Z')
FROM pg_temp.staged_readings s
WHERE s.v_num IS NOT NULL AND s.ts < %(sealed)s
ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING;

-- name: readings_remove_day
-- The readings of a day, to be copied anew.
DELETE FROM public.m_raw m WHERE m.ts >= %(day)s AND m.ts < %(day)s + interval '1 day';

-- name: newest_reading
-- The newest reading of all.
SELECT max(m.ts) FROM public.m_raw m;

-- name: telemetry_bytes
-- What the tables of telemetry take, with indexes and partitions.
SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r'
  AND (n.nspname = 'public' AND c.relname ~ '^(m_raw|m_segment|m_message|r_1m|r_5m|r_1h)(_|$)'
       OR n.nspname = '_timescaledb_internal');

-- Messages -------------------------------------------------------------------------------------

-- name: messages_days_plain
-- The UTC days of which there is a partition.
SELECT b.first FROM public.partition_bounds('public.m_message'::regclass) b ORDER BY b.first;

-- name: messages_days_timescale
-- The UTC days of which there is a chunk.
SELECT k.first FROM public.level_chunks('messages') k ORDER BY k.first;

-- name: messages_count_day_plain
-- The messages of a day, without opening a pack.
SELECT coalesce(sum(coalesce(cardinality(m.packed_at), 1)), 0)
FROM public.m_message m
WHERE m.received_at >= %(day)s AND m.received_at < %(day)s + interval '1 day';

-- name: messages_count_day_timescale
-- The messages of a day.
SELECT count(*) FROM public.m_message m
WHERE m.received_at >= %(day)s AND m.received_at < %(day)s + interval '1 day';

-- name: messages_count_hours
-- The messages of each hour of a span of whole hours.
SELECT date_bin('1 hour', m.received_at, '2000-01-01 00:00Z'), count(*)
FROM public.raw_messages m
WHERE m.received_at >= %(first)s AND m.received_at < %(ends)s
  AND m.stored >= %(first)s AND m.stored < %(ends)s
GROUP BY 1;

-- name: messages_check_hours
-- Count and checksum of each hour of a span of whole hours.
SELECT date_bin('1 hour', m.received_at, '2000-01-01 00:00Z'), count(*),
       sum(hashtextextended(
           concat_ws('|', m.device_id, date_part('epoch', m.received_at), m.topic,
                     encode(sha256(m.payload), 'hex')) COLLATE "C", 0))
FROM public.raw_messages m
WHERE m.received_at >= %(first)s AND m.received_at < %(ends)s
  AND m.stored >= %(first)s AND m.stored < %(ends)s
GROUP BY 1;

-- name: messages_read
-- The messages of a span of whole hours.
COPY (
    SELECT m.device_id, m.received_at, m.topic, m.payload
    FROM public.raw_messages m
    WHERE m.received_at >= %(first)s AND m.received_at < %(ends)s
      AND m.stored >= %(first)s AND m.stored < %(ends)s
) TO STDOUT (FORMAT BINARY);

-- name: messages_stage
-- Where messages wait that may be there in part.
CREATE TEMPORARY TABLE staged_messages (
    device_id uuid, received_at timestamptz, topic text, payload bytea
) ON COMMIT DROP;

-- name: messages_write_staged
-- Messages that may be there in part.
COPY pg_temp.staged_messages (device_id, received_at, topic, payload) FROM STDIN (FORMAT BINARY);

-- name: messages_add
-- What of the staged messages is not there yet; how many. By the minute, so that no array grows
-- large.
SELECT coalesce(sum(public.add_messages(g.device_ids, g.received, g.topics, g.payloads)), 0)
FROM (
    SELECT array_agg(s.device_id) AS device_ids, array_agg(s.received_at) AS received,
           array_agg(s.topic) AS topics, array_agg(s.payload) AS payloads
    FROM pg_temp.staged_messages s
    GROUP BY date_bin('1 minute', s.received_at, '2000-01-01 00:00Z')
) g;

-- Rollups --------------------------------------------------------------------------------------

-- name: rollups_from_plain
-- From when on there are partitions of a level.
SELECT min(b.first) FROM public.partition_bounds(('public.r_' || %(level)s)::regclass) b;

-- name: rollups_from_timescale
-- From when on there are chunks of a level.
SELECT min(k.first) FROM public.level_chunks(%(level)s) k;

-- name: rollup_table_plain
-- The table that a level is stored in: schema and name.
SELECT 'public', 'r_' || %(level)s;

-- name: rollup_table_timescale
-- The table behind the continuous aggregate of a level: schema and name.
SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = public.level_table(%(level)s);

-- name: refreshed
-- Up to where each level is complete; NULL: it was never refreshed.
SELECT s.level, nullif(s.refreshed, '-infinity') FROM public.rollup_state s;

-- name: ensure_rollup_month_plain
-- Room for a month of rollups.
SELECT public.ensure_rollup_partitions((%(month)s AT TIME ZONE 'UTC')::date,
                                       (%(month)s AT TIME ZONE 'UTC')::date);

-- name: ensure_rollup_month_timescale
-- Room for a month of rollups: there always is.
SELECT 0 WHERE %(month)s IS NOT NULL;

-- name: check_rollups
-- Buckets of a level by hour, with a checksum of all but the sums, and one of the sums.
SELECT date_bin('1 hour', r.bucket, '2000-01-01 00:00Z'), count(*),
       sum(hashtextextended(concat_ws('|', r.point_sk, date_part('epoch', r.bucket), r.n, r.mn, r.mx)
                            COLLATE "C", 0)),
       sum(hashtextextended(concat_ws('|', r.point_sk, date_part('epoch', r.bucket), r.s)
                            COLLATE "C", 0))
FROM {rollup} r
WHERE r.bucket >= %(first)s AND r.bucket < %(ends)s
GROUP BY 1;

-- name: read_rollups
-- The buckets of a span of a level, in the order in which they are read most.
COPY (
    SELECT r.bucket, r.s, r.mn, r.mx, r.point_sk, r.n
    FROM {rollup} r
    WHERE r.bucket >= %(first)s AND r.bucket < %(ends)s
    ORDER BY r.point_sk, r.bucket
) TO STDOUT (FORMAT BINARY);

-- name: write_rollups
-- Buckets, none of which is there yet.
COPY {rollup} (bucket, s, mn, mx, point_sk, n) FROM STDIN (FORMAT BINARY);

-- name: remove_rollups
-- The buckets of a span of a level, to be computed anew.
DELETE FROM {rollup} r WHERE r.bucket >= %(first)s AND r.bucket < %(ends)s;
