-- Who may see and do what. Configuration tables: forced row-level security. Readings: only
-- through the *_tenant views. A new table needs a policy here or in its own migration.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON FUNCTIONS FROM PUBLIC;

DO $$
DECLARE
    relation text;
    owns text;
BEGIN
    FOR relation, owns IN VALUES
        ('tenants', 'id = public.current_tenant_id()'),
        ('sites', 'tenant_id = public.current_tenant_id()'),
        ('device_templates', 'tenant_id = public.current_tenant_id()'),
        ('point_templates', 'tenant_id = public.current_tenant_id()'),
        ('devices', 'tenant_id = public.current_tenant_id()'),
        ('points', 'tenant_id = public.current_tenant_id()'),
        ('device_state', 'tenant_id = public.current_tenant_id()'),
        ('device_events', 'tenant_id = public.current_tenant_id()'),
        ('device_alarms', 'tenant_id = public.current_tenant_id()'),
        ('dim_point', 'false'),
        ('ingest_errors', 'false')
    LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', relation);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', relation);
        EXECUTE format('CREATE POLICY owner_all ON public.%I TO traksense_owner '
                       'USING (true) WITH CHECK (true)', relation);
        EXECUTE format('CREATE POLICY ops_all ON public.%I TO traksense_ops '
                       'USING (true) WITH CHECK (true)', relation);
        IF owns <> 'false' THEN
            EXECUTE format('CREATE POLICY tenant_own ON public.%I TO traksense_app '
                           'USING (%s) WITH CHECK (%s)', relation, owns, owns);
            EXECUTE format('CREATE POLICY tenant_read ON public.%I FOR SELECT '
                           'TO traksense_readonly USING (%s)', relation, owns);
        END IF;
    END LOOP;
END
$$;

-- Templates without a tenant are everybody's to read.
CREATE POLICY shared_read ON public.device_templates FOR SELECT
    TO traksense_app, traksense_readonly USING (tenant_id IS NULL);
CREATE POLICY shared_read ON public.point_templates FOR SELECT
    TO traksense_app, traksense_readonly USING (tenant_id IS NULL);

GRANT EXECUTE ON FUNCTION public.current_tenant_id()
    TO traksense_ingest, traksense_app, traksense_ops, traksense_readonly;

-- The tenant itself and its device state are read by the application and written by others.
GRANT SELECT ON public.tenants, public.device_state, public.device_events, public.device_alarms,
    public.device_templates, public.point_templates TO traksense_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.sites, public.devices, public.points
    TO traksense_app;
GRANT SELECT ON public.ts_measure_tenant TO traksense_app, traksense_readonly, traksense_ops;
GRANT SELECT ON public.tenants, public.sites, public.device_templates, public.point_templates,
    public.devices, public.points, public.device_state, public.device_events,
    public.device_alarms TO traksense_readonly;

GRANT SELECT, INSERT, UPDATE, DELETE ON public.tenants, public.sites, public.device_templates,
    public.point_templates, public.devices, public.points TO traksense_ops;
GRANT SELECT ON public.device_state, public.device_events, public.device_alarms,
    public.ingest_errors TO traksense_ops;

-- Ingestion adds and keeps state; it reads names, never values.
GRANT SELECT ON public.ingest_devices, public.ingest_points TO traksense_ingest;
GRANT EXECUTE ON FUNCTION public.ensure_raw_partitions(date, date) TO traksense_ingest;
GRANT INSERT ON public.m_raw TO traksense_ingest;
GRANT INSERT ON public.device_events, public.device_alarms, public.ingest_errors
    TO traksense_ingest;
GRANT SELECT (fingerprint, received_at, last_received_at, occurrences),
      UPDATE (last_received_at, occurrences) ON public.ingest_errors TO traksense_ingest;
GRANT SELECT, UPDATE ON public.device_state TO traksense_ingest;
CREATE POLICY ingest_add ON public.ingest_errors FOR INSERT TO traksense_ingest WITH CHECK (true);
CREATE POLICY ingest_again ON public.ingest_errors FOR UPDATE TO traksense_ingest USING (true);
CREATE POLICY ingest_seen ON public.ingest_errors FOR SELECT TO traksense_ingest USING (true);
CREATE POLICY ingest_add ON public.device_events FOR INSERT TO traksense_ingest WITH CHECK (true);
CREATE POLICY ingest_add ON public.device_alarms FOR INSERT TO traksense_ingest WITH CHECK (true);
CREATE POLICY ingest_state ON public.device_state TO traksense_ingest USING (true);
