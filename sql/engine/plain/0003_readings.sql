-- Raw readings on PostgreSQL with no extension: one partition a day (UTC), made ahead.

CREATE TABLE public.m_raw (
    ts timestamptz NOT NULL,
    v_num float8,
    point_sk integer NOT NULL,
    qual smallint NOT NULL DEFAULT 0,
    v_bool boolean,
    v_text text,
    meta jsonb,
    CONSTRAINT m_raw_point_ts_key UNIQUE (point_sk, ts)
) PARTITION BY RANGE (ts);
COMMENT ON TABLE public.m_raw IS
    'Readings. The key makes a repeated delivery a no-op; widest columns first, so that a row '
    'has no padding. meta stands on the first reading of its message.';

CREATE FUNCTION public.ensure_raw_partitions(first_day date, last_day date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS $$
DECLARE
    day date := first_day;
    partition text;
    made integer := 0;
    lower_bound timestamptz;
BEGIN
    IF last_day - first_day > 400 THEN
        RAISE EXCEPTION 'refusing to make % partitions at once', last_day - first_day;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.m_raw partitions', 0));
    WHILE day <= last_day LOOP
        partition := 'm_raw_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('public.' || partition) IS NULL THEN
            lower_bound := day::timestamp AT TIME ZONE 'UTC';
            -- Attached, not made in place: ATTACH takes a lock that readers and writers of the
            -- other days do not wait for, and the CHECK spares it the scan.
            EXECUTE format(
                'CREATE TABLE public.%I (LIKE public.m_raw INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                'INCLUDING INDEXES, CONSTRAINT day CHECK (ts >= %L AND ts < %L))',
                partition, lower_bound, lower_bound + interval '1 day');
            EXECUTE format(
                'ALTER TABLE public.m_raw ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                partition, lower_bound, lower_bound + interval '1 day');
            EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT day', partition);
            made := made + 1;
        END IF;
        day := day + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION public.ensure_raw_partitions(date, date) IS
    'Makes the missing day partitions between two UTC days, both included; how many it made.';

CREATE VIEW public.ts_measure_tenant WITH (security_barrier) AS
SELECT d.tenant_id, d.device_id, d.point_id, m.ts, m.v_num, m.v_bool, m.v_text, m.qual, m.meta
FROM public.dim_point d
JOIN public.m_raw m ON m.point_sk = d.point_sk
WHERE d.tenant_id = public.current_tenant_id();
