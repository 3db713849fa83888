-- name: take_requests
-- Gives a container some requests of each subject's minute. most is the platform's limit of a
-- subject, unless its tenant has its own. A row that is of the next minute already (two at its
-- edge) counts; one of a later time than that is of a clock that was wrong, and begins anew.
-- Rows are locked in one order.
WITH own AS (
    SELECT t.requests_per_minute AS tenant, t.user_requests_per_minute AS "user"
    FROM public.tenants t WHERE t.id = %(tenant_id)s::uuid
), wanted AS (
    SELECT w.subject,
           coalesce(CASE w.kind WHEN 'tenant' THEN (SELECT own.tenant FROM own)
                                WHEN 'user' THEN (SELECT own."user" FROM own) END, w.most) AS most
    FROM unnest(%(kinds)s::text[], %(subjects)s::text[], %(mosts)s::integer[])
         AS w (kind, subject, most)
)
INSERT INTO public.request_quotas AS q (subject, tenant_id, minute, most, taken, granted)
SELECT w.subject, %(tenant_id)s::uuid, floor(extract(epoch FROM clock_timestamp()) / 60)::bigint,
       w.most, public.request_lease(w.most, 0), public.request_lease(w.most, 0)
FROM wanted w
ORDER BY w.subject
ON CONFLICT (subject) DO UPDATE SET
    minute = CASE WHEN q.minute = excluded.minute + 1 THEN q.minute ELSE excluded.minute END,
    most = excluded.most,
    granted = CASE WHEN q.minute BETWEEN excluded.minute AND excluded.minute + 1
                   THEN public.request_lease(excluded.most, q.taken) ELSE excluded.granted END,
    taken = CASE WHEN q.minute BETWEEN excluded.minute AND excluded.minute + 1
                 THEN q.taken + public.request_lease(excluded.most, q.taken)
                 ELSE excluded.taken END
RETURNING q.subject, q.minute, q.granted,
          (q.minute + 1) * 60 - extract(epoch FROM clock_timestamp())::float8;
