-- Raw readings on TimescaleDB: one chunk a day (UTC), made by the server when a reading needs it.

CREATE TABLE public.m_raw (
    ts timestamptz NOT NULL,
    v_num float8,
    point_sk integer NOT NULL,
    qual smallint NOT NULL DEFAULT 0,
    v_bool boolean,
    v_text text,
    meta jsonb,
    CONSTRAINT m_raw_point_ts_key UNIQUE (point_sk, ts)
);
COMMENT ON TABLE public.m_raw IS
    'Readings. The key makes a repeated delivery a no-op; widest columns first, so that a row '
    'has no padding. meta stands on the first reading of its message.';
SELECT public.create_hypertable('public.m_raw', public.by_range('ts', interval '1 day'),
                                create_default_indexes => false);
-- A refresh asks for a span of time over all points, which the key cannot tell. Readings lie by
-- time as they come, so that a page or two for a whole chunk say where (50 kB a million readings).
CREATE INDEX m_raw_ts_idx ON public.m_raw USING brin (ts)
    WITH (pages_per_range = 16, autosummarize = on);

CREATE FUNCTION public.ensure_raw_partitions(first_day date, last_day date) RETURNS integer
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog RETURN 0;
COMMENT ON FUNCTION public.ensure_raw_partitions(date, date) IS
    'Makes nothing: chunks come of themselves.';

CREATE VIEW public.ts_measure_tenant WITH (security_barrier) AS
SELECT d.tenant_id, d.device_id, d.point_id, m.ts, m.v_num, m.v_bool, m.v_text, m.qual, m.meta
FROM public.dim_point d
JOIN public.m_raw m ON m.point_sk = d.point_sk
WHERE d.tenant_id = public.current_tenant_id();
