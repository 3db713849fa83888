-- Devices as operators write them: a status beside the connectivity, ten thousand in one statement,
-- and what goes when one is deleted.

ALTER TABLE public.devices
    ADD COLUMN status text NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'maintenance', 'retired'));
COMMENT ON COLUMN public.devices.status IS
    'What people decided about it, whether it is online or not. retired: its messages are refused.';

-- Once a statement instead of once a row: an import adds 10,000 devices and 100,000 points.
CREATE OR REPLACE FUNCTION public.add_device_state() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO public.device_state (device_id, tenant_id)
    SELECT a.id, a.tenant_id FROM added a ORDER BY a.id;
    RETURN NULL;
END
$$;
DROP TRIGGER devices_add_state ON public.devices;
CREATE TRIGGER devices_add_state AFTER INSERT ON public.devices
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION public.add_device_state();

CREATE OR REPLACE FUNCTION public.add_dim_point() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- A device's points get keys that follow each other: they are written and read together.
    INSERT INTO public.dim_point (tenant_id, device_id, point_id, type, unit)
    SELECT a.tenant_id, a.device_id, a.id, a.type, a.unit
    FROM added a ORDER BY a.device_id, a.position, a.name;
    RETURN NULL;
END
$$;
DROP TRIGGER points_add_dim ON public.points;
CREATE TRIGGER points_add_dim AFTER INSERT ON public.points
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION public.add_dim_point();

CREATE FUNCTION public.check_added_templates() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    wrong record;
BEGIN
    SELECT a.template_id, t.id IS NULL OR t.tenant_id <> a.tenant_id AS is_foreign INTO wrong
    FROM (SELECT DISTINCT n.template_id, n.tenant_id FROM added n) a
    LEFT JOIN public.device_templates t ON t.id = a.template_id
    WHERE t.id IS NULL OR t.tenant_id <> a.tenant_id OR t.published_at IS NULL
    LIMIT 1;
    IF wrong.is_foreign THEN
        RAISE EXCEPTION 'template % is not one of this tenant', wrong.template_id
            USING ERRCODE = 'foreign_key_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'template % is not published', wrong.template_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_template_published';
    END IF;
    RETURN NULL;
END
$$;
DROP TRIGGER devices_check_template ON public.devices;
CREATE TRIGGER devices_check_template BEFORE UPDATE OF template_id ON public.devices
    FOR EACH ROW EXECUTE FUNCTION public.check_template_tenant();
CREATE TRIGGER devices_check_added_templates AFTER INSERT ON public.devices
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION public.check_added_templates();

-- A point that is gone takes its key along: what was stored under it is seen by nobody from then
-- on, nothing more is stored, and the key is never given out again.
CREATE FUNCTION public.forget_dim_points() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    DELETE FROM public.dim_point d USING removed r WHERE d.point_id = r.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER points_forget_dim AFTER DELETE ON public.points
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION public.forget_dim_points();

CREATE OR REPLACE VIEW public.ingest_devices AS
SELECT d.id AS device_id, d.tenant_id, t.slug AS tenant, s.slug AS site, d.name AS device,
       d.mac, d.gateway_id, d.gateway_code, dt.adapter, dt.offline_after, dt.keep_raw, d.status
FROM public.devices d
JOIN public.tenants t ON t.id = d.tenant_id
JOIN public.sites s ON s.id = d.site_id
JOIN public.device_templates dt ON dt.id = d.template_id;
