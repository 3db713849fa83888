-- Compression of readings, and the views that read them: rows and columns are one to a query.

ALTER TABLE public.m_raw SET (
    timescaledb.enable_columnstore = true,
    timescaledb.segmentby = 'point_sk',
    timescaledb.orderby = 'ts'
);

CREATE VIEW public.raw_readings AS
SELECT m.point_sk, m.ts, m.v_num, m.v_bool, m.v_text, m.qual, m.meta, m.ts AS stored
FROM public.m_raw m;
COMMENT ON VIEW public.raw_readings IS
    'All readings of all tenants, for exports and checks. For the owner.';
COMMENT ON COLUMN public.raw_readings.stored IS
    'The reading''s own instant: here every bound on ts tells the chunks to open.';

CREATE OR REPLACE VIEW public.ts_measure_tenant WITH (security_barrier) AS
SELECT d.tenant_id, d.device_id, d.point_id, m.ts, m.v_num, m.v_bool, m.v_text, m.qual, m.meta,
       m.ts AS stored
FROM public.dim_point d
JOIN public.m_raw m ON m.point_sk = d.point_sk
WHERE d.tenant_id = public.current_tenant_id()
  AND m.ts >= (
      SELECT coalesce(now() - make_interval(days => t.raw_retention_days), '-infinity')
      FROM public.tenants t WHERE t.id = public.current_tenant_id());
COMMENT ON COLUMN public.ts_measure_tenant.stored IS
    'The reading''s own instant. Queries bound it beside ts because other engines need it.';

CREATE VIEW public.rollup_source AS
SELECT r.point_sk, r.ts, r.v_num, r.addend, r.ts AS stored
FROM public.rollup_rows r;

CREATE FUNCTION public.due_chunks(of_level text, before timestamptz)
    RETURNS TABLE (chunk regclass, is_compressed boolean)
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT k.chunk, k.is_compressed
    FROM public.level_chunks(of_level) k
    WHERE k.ends <= before AND k.has_rows
    ORDER BY k.is_compressed, k.first
$$;
COMMENT ON FUNCTION public.due_chunks(text, timestamptz) IS
    'Chunks of a level that ended before this and hold rows, as they came or as they came late: '
    'the whole ones first, then the oldest.';
