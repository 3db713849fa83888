-- The rollups as the application sees them. A LATERAL per point, so that a query touches only the
-- rows of the points it asks for; the bounds of a bucket pass the barrier because their operators
-- are leakproof, and prune what lies elsewhere. Buckets that are not refreshed yet are computed.
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
                FROM public.rollup_rows x
                WHERE x.point_sk = d.point_sk AND x.ts >= (
                    SELECT w.refreshed FROM public.rollup_state w WHERE w.level = %1$L)
                GROUP BY 1
            ) r
            WHERE d.tenant_id = public.current_tenant_id() AND d.type = 'num'
              AND r.bucket >= (
                  SELECT coalesce(now() - make_interval(days => t.retention_%1$s_days), '-infinity')
                  FROM public.tenants t WHERE t.id = public.current_tenant_id())
        $view$, level, step);
    END LOOP;
END
$$;

-- A month of the tenant's calendar, from hours; from five minutes where a zone's offset puts the
-- month's ends between two hours. Only the months that a query's bounds leave are computed. A month
-- of which the tenant keeps but a part is not shown: its sum would be wrong.
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
        SELECT x.addend, 1 FROM public.rollup_rows x
        WHERE x.point_sk = d.point_sk
          AND x.ts >= greatest(m.bucket, edge.at) AND x.ts < m.ends
    ) u
    HAVING count(*) > 0
) r
WHERE d.tenant_id = public.current_tenant_id() AND d.type = 'num'
  AND m.bucket >= coalesce(now() - make_interval(days => t.retention_1h_days), '-infinity');

GRANT SELECT ON public.ts_measure_1m_tenant, public.ts_measure_5m_tenant,
    public.ts_measure_1h_tenant, public.ts_consumption_monthly_tenant
    TO traksense_app, traksense_readonly, traksense_ops;
