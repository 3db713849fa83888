-- Who did what, when, and with which outcome. A row is only ever added: the application can put one
-- in and never read, change or delete any; internal_ops read; only the owner deletes what is old.
-- Not partitioned: see docs/adr/0021.

CREATE TABLE public.audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    request_id text NOT NULL CHECK (length(request_id) <= 128),
    action text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    status smallint NOT NULL CHECK (status BETWEEN 100 AND 599),
    user_id text CHECK (length(user_id) <= 128),
    email text CHECK (length(email) <= 320),
    role text CHECK (role IN ('internal_ops', 'customer_admin', 'viewer')),
    tenant_id uuid,
    object_id text CHECK (length(object_id) <= 256),
    filters jsonb NOT NULL DEFAULT '{}',
    record_count integer CHECK (record_count >= 0),
    duration_ms real NOT NULL CHECK (duration_ms >= 0),
    ip inet,
    user_agent text CHECK (length(user_agent) <= 256)
);
COMMENT ON TABLE public.audit_log IS 'A call of the API that its route declares as audited.';
COMMENT ON COLUMN public.audit_log.tenant_id IS
    'In whose sight the call ran; NULL: all tenants, or none. No foreign key: it outlives them.';
COMMENT ON COLUMN public.audit_log.email IS
    'The caller''s; of a login that was refused, the address that was tried.';
COMMENT ON COLUMN public.audit_log.filters IS
    'Names of the parameters and body fields that were given; values only of ids and choices.';
-- Each is read backwards, newest first, from where the last page ended.
CREATE INDEX audit_log_at_idx ON public.audit_log (at, id);
CREATE INDEX audit_log_user_idx ON public.audit_log (user_id, at, id);
CREATE INDEX audit_log_email_idx ON public.audit_log (email, at, id);
CREATE INDEX audit_log_tenant_idx ON public.audit_log (tenant_id, at, id);
CREATE INDEX audit_log_action_idx ON public.audit_log (action, at, id);
CREATE INDEX audit_log_ip_idx ON public.audit_log (ip, at, id);

ALTER TABLE public.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON public.audit_log TO traksense_owner USING (true) WITH CHECK (true);
CREATE POLICY ops_read ON public.audit_log FOR SELECT TO traksense_ops USING (true);
CREATE POLICY ops_add ON public.audit_log FOR INSERT TO traksense_ops WITH CHECK (true);
CREATE POLICY tenant_add ON public.audit_log FOR INSERT TO traksense_app
    WITH CHECK (tenant_id = public.current_tenant_id());
GRANT SELECT ON public.audit_log TO traksense_ops;
-- Neither id nor at: nobody dates a row.
GRANT INSERT (request_id, action, status, user_id, email, role, tenant_id, object_id, filters,
              record_count, duration_ms, ip, user_agent)
    ON public.audit_log TO traksense_app, traksense_ops;

-- What is purged is no longer a closed list: each table of its own kind names itself.
ALTER TABLE public.purges DROP CONSTRAINT purges_level_check;
ALTER TABLE public.purges ADD CONSTRAINT purges_level_check CHECK (level ~ '^[a-z0-9_]{1,32}$');

CREATE FUNCTION public.purge_audit_log(before timestamptz, most integer) RETURNS integer
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
DECLARE
    gone integer;
BEGIN
    DELETE FROM public.audit_log a
    WHERE a.id IN (
        SELECT o.id FROM public.audit_log o
        WHERE o.at < before ORDER BY o.at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        INSERT INTO public.purges (level, up_to, partitions, rows)
        VALUES ('audit_log', before, 0, gone);
    END IF;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION public.purge_audit_log(timestamptz, integer) IS
    'Deletes up to so many rows of the audit log from before this; how many.';
