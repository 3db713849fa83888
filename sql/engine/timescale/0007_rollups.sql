-- Rollups on TimescaleDB: continuous aggregates, 5m from 1m and 1h from 5m. The server notes which
-- buckets a late reading touches; when they are refreshed, and within which bounds, is ours to say
-- (rollup_windows), because a refresh over a range whose source is gone deletes what was made of it.

CREATE FUNCTION public.storage_engine() RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog RETURN 'timescale';
COMMENT ON FUNCTION public.storage_engine() IS 'What keeps the readings here: plain or timescale.';

-- addend is the value as a sum takes it: two readings near the largest float would overflow and
-- stop everybody's refresh. The aggregate below says the same: it may read no view.
CREATE VIEW public.rollup_rows AS
SELECT m.point_sk, m.ts, m.v_num,
       CASE WHEN m.v_num BETWEEN -1e290 AND 1e290 THEN m.v_num
            WHEN m.v_num > 0 THEN 1e290 ELSE -1e290 END AS addend
FROM public.m_raw m
WHERE m.v_num IS NOT NULL;

CREATE MATERIALIZED VIEW public.r_1m
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT public.time_bucket('1 minute', m.ts) AS bucket,
       sum(CASE WHEN m.v_num BETWEEN -1e290 AND 1e290 THEN m.v_num
                WHEN m.v_num > 0 THEN 1e290 ELSE -1e290 END) AS s,
       min(m.v_num) AS mn, max(m.v_num) AS mx, m.point_sk, count(*)::integer AS n
FROM public.m_raw m
WHERE m.v_num IS NOT NULL
GROUP BY 1, m.point_sk
WITH NO DATA;

CREATE MATERIALIZED VIEW public.r_5m
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT public.time_bucket('5 minutes', m.bucket) AS bucket, sum(m.s) AS s, min(m.mn) AS mn,
       max(m.mx) AS mx, m.point_sk, sum(m.n)::integer AS n
FROM public.r_1m m
GROUP BY 1, m.point_sk
WITH NO DATA;

CREATE MATERIALIZED VIEW public.r_1h
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT public.time_bucket('1 hour', m.bucket) AS bucket, sum(m.s) AS s, min(m.mn) AS mn,
       max(m.mx) AS mx, m.point_sk, sum(m.n)::integer AS n
FROM public.r_5m m
GROUP BY 1, m.point_sk
WITH NO DATA;

DO $$
DECLARE
    level text;
    width interval;
BEGIN
    -- Few chunks a query, and few that are compressed late.
    FOR level, width IN VALUES ('1m', interval '7 days'), ('5m', interval '28 days'),
                               ('1h', interval '84 days') LOOP
        EXECUTE format('COMMENT ON VIEW public.r_%s IS %L', level,
            'Sum, minimum, maximum and count of a point''s readings by bucket. Their mean is s / n.');
        PERFORM public.set_chunk_time_interval(format('public.r_%s', level)::regclass, width);
        EXECUTE format(
            'ALTER MATERIALIZED VIEW public.r_%s SET (timescaledb.enable_columnstore = true, '
            'timescaledb.segmentby = ''point_sk'', timescaledb.orderby = ''bucket'')', level);
    END LOOP;
END
$$;

CREATE TABLE public.rollup_state (
    level text PRIMARY KEY CHECK (level IN ('1m', '5m', '1h')),
    sealed timestamptz NOT NULL DEFAULT '-infinity',
    refreshed timestamptz NOT NULL DEFAULT '-infinity',
    pass bigint NOT NULL DEFAULT 0,
    ran_at timestamptz NOT NULL DEFAULT now(),
    took_ms integer NOT NULL DEFAULT 0,
    buckets bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE public.rollup_state IS
    'How far each level is. Before the first refresh both marks are -infinity.';
COMMENT ON COLUMN public.rollup_state.sealed IS
    'Up to where the refresh that is under way, or was the last, goes. It never moves back.';
COMMENT ON COLUMN public.rollup_state.refreshed IS
    'Buckets before this are in the table; the views compute the others from readings.';
COMMENT ON COLUMN public.rollup_state.pass IS 'How often sealed was set; of level 1m.';
COMMENT ON COLUMN public.rollup_state.ran_at IS
    'The last refresh; before the first, when this table was made.';
COMMENT ON COLUMN public.rollup_state.buckets IS 'Buckets that the last refresh wrote.';
INSERT INTO public.rollup_state (level) VALUES ('1m'), ('5m'), ('1h');

CREATE FUNCTION public.rollup_watermark(OUT sealed_us bigint, OUT pass bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('traksense.rollups sealed', 0));
    -- Late readings of compressed chunks are compared with what is there batch by batch; the
    -- server's own limit on that is for mistakes, and would turn a device's backlog away.
    PERFORM set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
END
$$;
COMMENT ON FUNCTION public.rollup_watermark() IS
    'Lets refreshes wait for this transaction where they have to, and answers that no reading is '
    'to be marked: the server notes late ones itself.';

CREATE FUNCTION public.level_table(of_level text) RETURNS regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN of_level = 'raw' THEN 'public.m_raw'::regclass ELSE (
        SELECT format('%I.%I', c.materialization_hypertable_schema,
                      c.materialization_hypertable_name)::regclass
        FROM timescaledb_information.continuous_aggregates c
        WHERE c.view_schema = 'public' AND c.view_name = 'r_' || of_level) END
$$;
COMMENT ON FUNCTION public.level_table(text) IS
    'The hypertable that a level (raw, 1m, 5m, 1h) is stored in.';

CREATE FUNCTION public.level_chunks(of_level text)
    RETURNS TABLE (chunk regclass, first timestamptz, ends timestamptz, is_compressed boolean,
                   has_rows boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT r.chunk, c.range_start, c.range_end, c.is_compressed,
           -- Bit 1: in columns, 2: not in order, 8: in part.
           _timescaledb_functions.chunk_status(r.chunk) & 11 <> 1
    FROM timescaledb_information.chunks c
    CROSS JOIN LATERAL (
        SELECT format('%I.%I', c.chunk_schema, c.chunk_name)::regclass AS chunk
    ) r
    WHERE format('%I.%I', c.hypertable_schema, c.hypertable_name)::regclass
          = public.level_table(of_level)
    ORDER BY c.range_start
$$;
COMMENT ON FUNCTION public.level_chunks(text) IS
    'The chunks of a level, oldest first. has_rows: some of it is not, or not any more, in columns.';

CREATE FUNCTION public.rollup_start(of_level text) RETURNS timestamptz
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT greatest(
        (SELECT min(k.first) FROM public.level_chunks(s.source) k),
        (SELECT max(p.up_to) FROM public.purges p WHERE p.level = s.source))
    FROM (VALUES ('1m', 'raw'), ('5m', '1m'), ('1h', '5m')) AS s(level, source)
    WHERE s.level = of_level
$$;
COMMENT ON FUNCTION public.rollup_start(text) IS
    'Where a refresh of a level may begin: nothing of its source was dropped from there on. NULL: '
    'there is no source.';

CREATE FUNCTION public.seal_rollups(wall_clock timestamptz, most interval) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog SET TimeZone = 'UTC' AS $$
DECLARE
    target timestamptz;
    oldest timestamptz;
    reached boolean;
BEGIN
    target := date_bin('1 minute', least(wall_clock, clock_timestamp()) - interval '75 seconds',
                       '2000-01-01 00:00Z');
    oldest := least(target, public.rollup_start('1m'));
    WITH steps (level, step) AS (
        VALUES ('1m', interval '1 minute'), ('5m', interval '5 minutes'), ('1h', interval '1 hour')
    ), minutes AS (
        SELECT greatest(s.sealed, least(target, begun.at + most)) AS sealed, begun.at
        FROM public.rollup_state s
        CROSS JOIN LATERAL (
            SELECT CASE WHEN s.refreshed > '-infinity' THEN s.refreshed ELSE oldest END AS at
        ) begun
        WHERE s.level = '1m'
    )
    UPDATE public.rollup_state s
    SET sealed = greatest(s.sealed, date_bin(t.step, m.sealed, '2000-01-01 00:00Z')),
        refreshed = greatest(s.refreshed, CASE WHEN s.refreshed > '-infinity' THEN s.refreshed
                             ELSE date_bin(t.step, m.at, '2000-01-01 00:00Z') END),
        pass = s.pass + 1
    FROM steps t, minutes m
    WHERE t.level = s.level;
    SELECT s.sealed >= target INTO reached FROM public.rollup_state s WHERE s.level = '1m';
    RETURN reached;
END
$$;
COMMENT ON FUNCTION public.seal_rollups(timestamptz, interval) IS
    'Sets up to where the next refresh goes: 75 seconds before now, at most so far past what is '
    'refreshed; whether it came so far. The first one of all begins at the oldest readings.';

CREATE FUNCTION public.await_writers() RETURNS void
    LANGUAGE sql VOLATILE SET search_path = pg_catalog
    -- Whoever ingests waits behind us, and for longer than this nobody does.
    SET lock_timeout = '3s' AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('traksense.rollups sealed', 0))
$$;
COMMENT ON FUNCTION public.await_writers() IS
    'Waits for every transaction that is adding readings. Commit at once after it.';

-- How far the rollups are is no tenant's secret.
GRANT SELECT ON public.rollup_state TO traksense_ops;
GRANT EXECUTE ON FUNCTION public.rollup_watermark() TO traksense_ingest;
