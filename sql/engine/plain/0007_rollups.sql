-- Rollups on PostgreSQL with no extension: 1m, 5m and 1h buckets (UTC) of the num points, a
-- partition a month, kept by a watermark and a log of the buckets that late readings touched.
--
-- Which readings a bucket has been computed from is always known:
--   * a reading at or past "sealed" is computed when its minute is sealed;
--   * one before it puts its bucket into rollup_dirty, in its own transaction.
-- Ingestion holds a shared lock from before it reads "sealed" to its commit, and "sealed" moves
-- under the exclusive one: no reading falls between the two.

CREATE FUNCTION public.storage_engine() RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog RETURN 'plain';
COMMENT ON FUNCTION public.storage_engine() IS 'What keeps the readings here: plain or timescale.';

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
-- it: two readings near the largest float would overflow and stop everybody's refresh.
CREATE VIEW public.rollup_rows AS
SELECT m.point_sk, m.ts, m.v_num,
       CASE WHEN m.v_num BETWEEN -1e290 AND 1e290 THEN m.v_num
            WHEN m.v_num > 0 THEN 1e290 ELSE -1e290 END AS addend
FROM public.m_raw m
WHERE m.v_num IS NOT NULL;

-- A refresh reads the last minutes of all points. They lie at the end of a partition, in no order
-- but that of their coming, and these say on which pages: a few bytes for 32 of them. Pages that
-- are not summarized yet, the newest, are read in any case.
CREATE INDEX m_raw_ts_idx ON public.m_raw
    USING brin (ts) WITH (pages_per_range = 32, autosummarize = off);
CREATE INDEX r_1m_bucket_idx ON public.r_1m
    USING brin (bucket) WITH (pages_per_range = 32, autosummarize = off);
CREATE INDEX r_5m_bucket_idx ON public.r_5m
    USING brin (bucket) WITH (pages_per_range = 32, autosummarize = off);

CREATE FUNCTION public.summarize_pages(summary regclass, first timestamptz, ends timestamptz)
    RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog SET TimeZone = 'UTC'
    -- Whoever vacuums the partition summarizes it, too. After deadlock_timeout, a second, the
    -- server would end an autovacuum for our sake.
    SET lock_timeout = '50ms' AS $$
DECLARE
    part regclass;
    ranges integer := 0;
BEGIN
    FOR part IN
        SELECT i.inhrelid
        FROM pg_inherits i
        JOIN pg_index x ON x.indexrelid = i.inhrelid
        JOIN pg_class c ON c.oid = x.indrelid
        CROSS JOIN LATERAL (SELECT substring(c.relname FROM '\d{6,8}$') AS name) t
        WHERE i.inhparent = summary
          AND t.name BETWEEN left(to_char(first, 'YYYYMMDD'), length(t.name))
                         AND left(to_char(ends, 'YYYYMMDD'), length(t.name))
    LOOP
        BEGIN
            ranges := ranges + brin_summarize_new_values(part);
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN ranges;
END
$$;
COMMENT ON FUNCTION public.summarize_pages(regclass, timestamptz, timestamptz) IS
    'Notes in the partitions of an index which instants the newest pages hold, so that refreshes '
    'pass them over; how many ranges of pages.';

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

-- How far the rollups are is no tenant's secret; whose minutes are late would be.
GRANT SELECT ON public.rollup_state TO traksense_ops;
GRANT INSERT ON public.rollup_dirty TO traksense_ingest;
GRANT EXECUTE ON FUNCTION public.rollup_watermark() TO traksense_ingest;
