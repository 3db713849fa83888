-- The e-mails of exports: in the tenant's sight, or by traksense_owner.

-- name: unmailed_export
-- An export that ended so in this attempt and of which nobody was told yet, with the times that a
-- clock of its tenant showed. People are found by their e-mail, as the user pool knows them.
SELECT e.email, u.name, e.locale, e.device_name, e.point_names, t.slug,
       e.range_from AT TIME ZONE e.time_zone, e.range_to AT TIME ZONE e.time_zone, e.agg, e.format,
       e.time_zone, e.record_count, e.file_size, e.expires_at, e.expires_at AT TIME ZONE e.time_zone,
       e.error
FROM public.exports e
JOIN public.tenants t ON t.id = e.tenant_id
LEFT JOIN public.users u ON u.tenant_id = e.tenant_id AND u.email = e.email
WHERE e.tenant_id = %(tenant_id)s AND e.id = %(export_id)s AND e.attempt = %(attempt)s
  AND e.status = %(status)s AND e.notified_at IS NULL AND e.mail_refused_at IS NULL;

-- name: add_export_link
-- A link, before it is mailed.
INSERT INTO public.export_links (token_hash, tenant_id, export_id, expires_at)
VALUES (%(digest)s, %(tenant_id)s, %(export_id)s, %(expires_at)s);

-- name: note_export_mailed
-- The e-mail was taken for delivery.
UPDATE public.exports SET notified_at = pg_catalog.now()
WHERE tenant_id = %(tenant_id)s AND id = %(export_id)s AND attempt = %(attempt)s
  AND notified_at IS NULL AND mail_refused_at IS NULL;

-- name: note_export_mail_refused
-- The e-mail was refused for good.
UPDATE public.exports SET mail_refused_at = pg_catalog.now()
WHERE tenant_id = %(tenant_id)s AND id = %(export_id)s AND attempt = %(attempt)s
  AND notified_at IS NULL AND mail_refused_at IS NULL;
