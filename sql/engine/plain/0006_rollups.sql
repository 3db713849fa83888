-- Rollups on PostgreSQL with no extension: 1m, 5m and 1h buckets (UTC) of the num points, a
-- partition a month, kept by a watermark and a log of the buckets that late readings touched.
--
-- Which readings a bucket has been computed from is always known:
--   * a reading at or past "sealed" is computed when its minute is sealed;
--   * one before it puts its bucket into rollup_dirty, in its own transaction.
-- Ingestion holds a shared lock from before it reads "sealed" to its commit, and "sealed" moves
-- under the exclusive one: no reading falls between the two.

DO $$
DECLARE
    rollup text;
BEGIN
    FOREACH rollup IN ARRAY ARRAY['r_1m', 'r_5m', 'r_1h'] LOOP
        EXECUTE format(
            'CREATE TABLE public.%1$I ('
            ' bucket timestamptz NOT NULL, s float8 NOT NULL, mn float8 NOT NULL,'
            ' mx float8 NOT NULL, point_sk integer NOT NULL, n integer NOT NULL,'
            ' CONSTRAINT %1$s_point_bucket_key UNIQUE (point_sk, bucket)'
            ') PARTITION BY RANGE (bucket)', rollup);
        EXECUTE format(
            'COMMENT ON TABLE public.%I IS %L', rollup,
            'Sum, minimum, maximum and count of a point''s readings by bucket. Their mean is s / n.');
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
    'How far each level is. Before the first refresh both marks are -infinity and nothing is late.';
COMMENT ON COLUMN public.rollup_state.sealed IS
    'A reading before this puts its bucket into rollup_dirty. It never moves back.';
COMMENT ON COLUMN public.rollup_state.refreshed IS
    'Buckets before this are in the table; the views compute the others from readings.';
COMMENT ON COLUMN public.rollup_state.pass IS
    'How often sealed was set; of level 1m. Marks are made under the pass of their transaction.';
COMMENT ON COLUMN public.rollup_state.ran_at IS
    'The last refresh; before the first, when this table was made.';
COMMENT ON COLUMN public.rollup_state.buckets IS 'Buckets that the last refresh wrote.';
INSERT INTO public.rollup_state (level) VALUES ('1m'), ('5m'), ('1h');

CREATE TABLE public.rollup_dirty (
    pass bigint NOT NULL,
    point_sk integer NOT NULL,
    bucket timestamptz NOT NULL,
    PRIMARY KEY (pass, point_sk, bucket)
);
COMMENT ON TABLE public.rollup_dirty IS
    'Minutes that got a reading after they were sealed, each once a pass. A refresh takes only '
    'passes that are over, whose transactions have all ended: a mark that a running transaction '
    'relies on is never taken from under it, and none waits for a refresh.';

-- What rollups are computed from, the one place that says so. addend is the value as a sum takes
-- it: two readings near the largest float would overflow and stop everybody's refresh. stored is
-- where a reading lies: its own instant, or midnight UTC of its day where a day is one row.
CREATE VIEW public.rollup_source AS
SELECT m.point_sk, m.ts, m.v_num,
       CASE WHEN m.v_num BETWEEN -1e290 AND 1e290 THEN m.v_num
            WHEN m.v_num > 0 THEN 1e290 ELSE -1e290 END AS addend,
       m.ts AS stored
FROM public.m_raw m
WHERE m.v_num IS NOT NULL;

CREATE FUNCTION public.ensure_rollup_partitions(first_day date, last_day date) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
DECLARE
    lower_bound timestamp;
    rollup text;
    partition text;
    made integer := 0;
BEGIN
    IF last_day - first_day > 7000 THEN
        RAISE EXCEPTION 'refusing to make % months at once', (last_day - first_day) / 30;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.rollup partitions', 0));
    lower_bound := date_trunc('month', first_day::timestamp);
    WHILE lower_bound <= last_day LOOP
        FOREACH rollup IN ARRAY ARRAY['r_1m', 'r_5m', 'r_1h'] LOOP
            partition := rollup || to_char(lower_bound, '_YYYYMM');
            CONTINUE WHEN to_regclass('public.' || partition) IS NOT NULL;
            -- Attached, not made in place, as the day partitions of m_raw are.
            EXECUTE format(
                'CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                'INCLUDING INDEXES, CONSTRAINT month CHECK (bucket >= %L AND bucket < %L))',
                partition, rollup, lower_bound AT TIME ZONE 'UTC',
                (lower_bound + interval '1 month') AT TIME ZONE 'UTC');
            EXECUTE format(
                'ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                rollup, partition, lower_bound AT TIME ZONE 'UTC',
                (lower_bound + interval '1 month') AT TIME ZONE 'UTC');
            EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT month', partition);
            made := made + 1;
        END LOOP;
        lower_bound := lower_bound + interval '1 month';
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION public.ensure_rollup_partitions(date, date) IS
    'Makes the missing month partitions of all levels between two UTC days; how many it made.';

CREATE FUNCTION public.rollup_watermark(OUT sealed_us bigint, OUT pass bigint)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('traksense.rollups sealed', 0));
    -- A statement of its own, whose snapshot is taken now that the lock is held: one that began
    -- while a refresh held the lock would still show where sealed was before it.
    SELECT CASE WHEN s.sealed > '-infinity'
                THEN (extract(epoch FROM s.sealed) * 1000000)::bigint END, s.pass
    INTO sealed_us, pass
    FROM public.rollup_state s
    WHERE s.level = '1m';
END
$$;
COMMENT ON FUNCTION public.rollup_watermark() IS
    'Keeps sealed where it is until the transaction ends, and says where (microseconds since the '
    'Unix epoch; NULL: nothing is sealed) and under which pass marks are to be made.';

CREATE FUNCTION public.seal_rollups(wall_clock timestamptz, most interval) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC'
    -- Whoever ingests waits behind us, and for longer than this nobody does: lock_timeout of
    -- ingestion is more.
    SET lock_timeout = '3s' AS $$
DECLARE
    target timestamptz;
    oldest timestamptz;
    reached boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.rollups sealed', 0));
    target := date_bin('1 minute', least(wall_clock, clock_timestamp()) - interval '75 seconds',
                       '2000-01-01 00:00Z');
    SELECT least(target, min(to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC'))
    INTO oldest
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.m_raw'::regclass;
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
    'Moves sealed to 75 seconds before now, at most so far past refreshed, and begins a new pass; '
    'whether it came so far. The first one of all begins at the oldest day of readings. Commit at '
    'once after it.';

-- What the application sees. A LATERAL per point, so that a query touches only the rows of the
-- points it asks for; the bounds of a bucket pass the barrier because their operators are
-- leakproof, and prune the months.
DO $$
DECLARE
    level text;
    step text;
BEGIN
    FOR level, step IN VALUES ('1m', '1 minute'), ('5m', '5 minutes'), ('1h', '1 hour') LOOP
        EXECUTE format($view$
            CREATE VIEW public.ts_measure_%1$s_tenant WITH (security_barrier) AS
            SELECT d.tenant_id, d.device_id, d.point_id, r.bucket, r.s / r.n AS avg, r.mn AS min,
                   r.mx AS max, r.n AS count, r.s AS sum
            FROM public.dim_point d
            CROSS JOIN LATERAL (
                SELECT m.bucket, m.s, m.mn, m.mx, m.n
                FROM public.r_%1$s m
                WHERE m.point_sk = d.point_sk AND m.bucket < (
                    SELECT w.refreshed FROM public.rollup_state w WHERE w.level = %1$L)
                UNION ALL
                SELECT date_bin(%2$L, x.ts, '2000-01-01 00:00Z'), sum(x.addend),
                       min(x.v_num), max(x.v_num), count(*)::integer
                FROM public.rollup_source x
                WHERE x.point_sk = d.point_sk AND x.ts >= (
                    SELECT w.refreshed FROM public.rollup_state w WHERE w.level = %1$L)
                  AND x.stored >= (SELECT date_bin('1 day', w.refreshed, '2000-01-01 00:00Z')
                                   FROM public.rollup_state w WHERE w.level = %1$L)
                GROUP BY 1
            ) r
            WHERE d.tenant_id = public.current_tenant_id() AND d.type = 'num'
        $view$, level, step);
    END LOOP;
END
$$;

-- A month of the tenant's calendar, from hours; from five minutes where a zone's offset puts the
-- month's ends between two hours. Only the months that a query's bounds leave are computed.
CREATE VIEW public.ts_consumption_monthly_tenant WITH (security_barrier) AS
SELECT d.tenant_id, d.device_id, d.point_id, m.starts::date AS month, m.bucket,
       r.sum, r.sum / r.count AS mean, r.count
FROM public.dim_point d
JOIN public.tenants t ON t.id = d.tenant_id
CROSS JOIN LATERAL (
    SELECT w.refreshed AS at,
           least((SELECT min(h.bucket) FROM public.r_1h h WHERE h.point_sk = d.point_sk),
                 CASE WHEN w.refreshed > '-infinity' THEN w.refreshed
                      ELSE now() - interval '400 days' END) AS first
    FROM public.rollup_state w
    WHERE w.level = '1h'
) edge
CROSS JOIN LATERAL (
    SELECT g.starts, g.starts AT TIME ZONE t.time_zone AS bucket,
           (g.starts + interval '1 month') AT TIME ZONE t.time_zone AS ends
    FROM generate_series(date_trunc('month', edge.first AT TIME ZONE t.time_zone),
                         (now() + interval '1 day') AT TIME ZONE t.time_zone,
                         interval '1 month') AS g(starts)
) m
CROSS JOIN LATERAL (
    SELECT date_bin('1 hour', m.bucket, '2000-01-01 00:00Z') = m.bucket
           AND date_bin('1 hour', m.ends, '2000-01-01 00:00Z') = m.ends AS ends_with_hours
) c
CROSS JOIN LATERAL (
    SELECT sum(u.s) AS sum, sum(u.n) AS count
    FROM (
        SELECT h.s, h.n FROM public.r_1h h
        WHERE c.ends_with_hours AND h.point_sk = d.point_sk
          AND h.bucket >= m.bucket AND h.bucket < least(m.ends, edge.at)
        UNION ALL
        SELECT f.s, f.n FROM public.r_5m f
        WHERE NOT c.ends_with_hours AND f.point_sk = d.point_sk
          AND f.bucket >= m.bucket AND f.bucket < least(m.ends, edge.at)
        UNION ALL
        SELECT x.addend, 1 FROM public.rollup_source x
        WHERE x.point_sk = d.point_sk
          AND x.ts >= greatest(m.bucket, edge.at) AND x.ts < m.ends
          AND x.stored >= date_bin('1 day', greatest(m.bucket, edge.at), '2000-01-01 00:00Z')
          AND x.stored < m.ends
    ) u
    HAVING count(*) > 0
) r
WHERE d.tenant_id = public.current_tenant_id() AND d.type = 'num';

GRANT SELECT ON public.ts_measure_1m_tenant, public.ts_measure_5m_tenant,
    public.ts_measure_1h_tenant, public.ts_consumption_monthly_tenant
    TO traksense_app, traksense_readonly, traksense_ops;
-- How far the rollups are is no tenant's secret; whose minutes are late would be.
GRANT SELECT ON public.rollup_state TO traksense_ops;
GRANT INSERT ON public.rollup_dirty TO traksense_ingest;
GRANT EXECUTE ON FUNCTION public.rollup_watermark() TO traksense_ingest;
