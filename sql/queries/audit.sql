-- name: add_entry
-- Adds a call to the audit log.
INSERT INTO public.audit_log
    (request_id, action, status, user_id, email, role, tenant_id, object_id, filters,
     record_count, duration_ms, ip, user_agent)
VALUES (%(request_id)s, %(action)s, %(status)s, %(user_id)s, %(email)s, %(role)s, %(tenant_id)s,
        %(object_id)s, %(filters)s, %(record_count)s, %(duration_ms)s, %(ip)s, %(user_agent)s);

-- name: entries_page
-- One page of the audit log, newest first: the one after (after_at, after_id). At most one of the
-- lead_… parameters is given, the most selective one, and its index is read backwards; whatever
-- else is wanted is compared row by row, in at most looked_at rows. Where these gave less than a
-- page, stop_at and stop_id say where the looking ended (NULL: at the end of the log).
-- One statement, so that both see the same rows.
WITH page AS (
    SELECT looked.*
    FROM (
        SELECT a.*
        FROM public.audit_log a
        WHERE (%(lead_ip)s::inet IS NULL OR a.ip = %(lead_ip)s::inet)
          AND (%(lead_user_id)s::text IS NULL OR a.user_id = %(lead_user_id)s::text)
          AND (%(lead_email)s::text IS NULL OR a.email = %(lead_email)s::text)
          AND (%(lead_tenant_id)s::uuid IS NULL OR a.tenant_id = %(lead_tenant_id)s::uuid)
          AND (%(lead_action)s::text IS NULL OR a.action = %(lead_action)s::text)
          AND (%(start)s::timestamptz IS NULL OR a.at >= %(start)s::timestamptz)
          AND (%(end)s::timestamptz IS NULL OR a.at < %(end)s::timestamptz)
          AND (%(after_at)s::timestamptz IS NULL
               OR (a.at, a.id) < (%(after_at)s::timestamptz, %(after_id)s::bigint))
        ORDER BY a.at DESC, a.id DESC
        LIMIT %(looked_at)s
    ) looked
    WHERE (%(user_id)s::text IS NULL OR looked.user_id = %(user_id)s::text)
      AND (%(email)s::text IS NULL OR looked.email = %(email)s::text)
      AND (%(tenant_id)s::uuid IS NULL OR looked.tenant_id = %(tenant_id)s::uuid)
      AND (%(action)s::text IS NULL OR looked.action = %(action)s::text)
      AND (%(q)s::text IS NULL
           OR strpos(lower(looked.email), %(q)s::text) > 0
           OR strpos(lower(looked.object_id), %(q)s::text) > 0
           OR strpos(lower(looked.user_agent), %(q)s::text) > 0
           OR strpos(looked.action, %(q)s::text) > 0
           OR looked.user_id = %(q)s::text
           OR looked.request_id = %(q)s::text)
    ORDER BY looked.at DESC, looked.id DESC
    LIMIT %(limit)s + 1
),
stop AS (
    SELECT a.at, a.id
    FROM public.audit_log a
    WHERE (SELECT count(*) FROM page) <= %(limit)s
      AND (%(lead_ip)s::inet IS NULL OR a.ip = %(lead_ip)s::inet)
      AND (%(lead_user_id)s::text IS NULL OR a.user_id = %(lead_user_id)s::text)
      AND (%(lead_email)s::text IS NULL OR a.email = %(lead_email)s::text)
      AND (%(lead_tenant_id)s::uuid IS NULL OR a.tenant_id = %(lead_tenant_id)s::uuid)
      AND (%(lead_action)s::text IS NULL OR a.action = %(lead_action)s::text)
      AND (%(start)s::timestamptz IS NULL OR a.at >= %(start)s::timestamptz)
      AND (%(end)s::timestamptz IS NULL OR a.at < %(end)s::timestamptz)
      AND (%(after_at)s::timestamptz IS NULL
           OR (a.at, a.id) < (%(after_at)s::timestamptz, %(after_id)s::bigint))
    ORDER BY a.at DESC, a.id DESC
    OFFSET %(looked_at)s - 1 LIMIT 1
)
SELECT stop.at, stop.id, page.id, page.at, page.request_id, page.action, page.status,
       page.user_id, page.email, page.role, t.slug, page.object_id, page.filters,
       page.record_count, page.duration_ms, host(page.ip), page.user_agent
FROM (SELECT) always
LEFT JOIN stop ON true
LEFT JOIN page ON true
LEFT JOIN public.tenants t ON t.id = page.tenant_id
ORDER BY page.at DESC, page.id DESC
