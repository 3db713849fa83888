-- name: months
-- The months of up to ten points that have a part between two instants: one LATERAL per point, so
-- that each one's rollups are found by their key, and bounds on the months' first instants, so
-- that no other month is computed.
WITH bounds AS (
    SELECT date_trunc('month', %(start)s::timestamptz AT TIME ZONE t.time_zone)
               AT TIME ZONE t.time_zone AS first
    FROM public.tenants t
    WHERE t.id = public.current_tenant_id()
)
SELECT wanted.id, c.month, c.sum, c.mean, c.count
FROM bounds
CROSS JOIN unnest(%(point_ids)s::uuid[]) WITH ORDINALITY AS wanted (id, n)
CROSS JOIN LATERAL (
    SELECT v.month, v.bucket, v.sum, v.mean, v.count
    FROM public.ts_consumption_monthly_tenant v
    WHERE v.point_id = wanted.id AND v.bucket >= bounds.first AND v.bucket < %(end)s
) c
ORDER BY wanted.n, c.bucket
