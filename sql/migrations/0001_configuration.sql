-- Tenants, sites, templates, devices and points: what the platform knows before a device speaks.
-- Everything carries tenant_id, and composite keys keep a row's neighbours in the same tenant.

CREATE FUNCTION public.current_tenant_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid;
COMMENT ON FUNCTION public.current_tenant_id() IS
    'The tenant of this transaction; NULL when none was set, and then every row is hidden.';

CREATE TABLE public.tenants (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9-]{1,31}$'),
    name text NOT NULL CHECK (name <> ''),
    time_zone text NOT NULL DEFAULT 'America/Sao_Paulo',
    locale text NOT NULL DEFAULT 'pt-BR' CHECK (locale IN ('pt-BR', 'en')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE public.sites (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES public.tenants,
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9-]{1,31}$'),
    name text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, slug),
    UNIQUE (tenant_id, id)
);

CREATE TABLE public.device_templates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES public.tenants,
    code text NOT NULL CHECK (code ~ '^[a-z0-9_-]{1,64}$'),
    version integer NOT NULL CHECK (version > 0),
    name text NOT NULL,
    vendor text,
    adapter text,
    offline_after interval NOT NULL DEFAULT '5 minutes' CHECK (offline_after > interval '0'),
    superseded_by uuid REFERENCES public.device_templates,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (tenant_id, code, version)
);
COMMENT ON COLUMN public.device_templates.tenant_id IS 'NULL: a template for every tenant.';
COMMENT ON COLUMN public.device_templates.adapter IS
    'The vendor adapter that reads the device''s payloads; NULL: the payload''s shape decides.';

CREATE TABLE public.point_templates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid REFERENCES public.tenants,
    device_template_id uuid NOT NULL REFERENCES public.device_templates,
    position smallint NOT NULL,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 64),
    labels jsonb NOT NULL DEFAULT '{}',
    type text NOT NULL CHECK (type IN ('num', 'bool', 'enum', 'text')),
    unit text,
    enum_values text[] CHECK ((type = 'enum') = (enum_values IS NOT NULL)),
    limits jsonb,
    UNIQUE (device_template_id, name)
);
COMMENT ON COLUMN public.point_templates.labels IS 'What a person reads, by locale: {"pt-BR", "en"}.';

CREATE TABLE public.devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES public.tenants,
    site_id uuid NOT NULL,
    template_id uuid NOT NULL REFERENCES public.device_templates,
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9_-]{1,32}$'),
    mac macaddr UNIQUE,
    gateway_id uuid,
    gateway_code text CHECK (length(gateway_code) BETWEEN 1 AND 64),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id),
    UNIQUE (gateway_id, gateway_code),
    FOREIGN KEY (tenant_id, site_id) REFERENCES public.sites (tenant_id, id),
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES public.devices (tenant_id, id),
    CHECK ((gateway_id IS NULL) = (gateway_code IS NULL))
);
COMMENT ON COLUMN public.devices.gateway_code IS
    'Name under which the gateway reports this device (a TDS code such as D01, an EUI).';
CREATE INDEX devices_site_idx ON public.devices (tenant_id, site_id);

CREATE TABLE public.points (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id uuid NOT NULL REFERENCES public.tenants,
    device_id uuid NOT NULL,
    point_template_id uuid REFERENCES public.point_templates,
    position smallint NOT NULL DEFAULT 0,
    name text NOT NULL CHECK (name <> '' AND length(name) <= 64),
    labels jsonb NOT NULL DEFAULT '{}',
    type text NOT NULL CHECK (type IN ('num', 'bool', 'enum', 'text')),
    unit text,
    enum_values text[] CHECK ((type = 'enum') = (enum_values IS NOT NULL)),
    limits jsonb,
    is_contracted boolean NOT NULL DEFAULT true,
    UNIQUE (device_id, name),
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE public.device_state (
    device_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    is_online boolean NOT NULL DEFAULT false,
    last_seen timestamptz,
    state_at timestamptz,
    session_id text,
    session_version bigint,
    session_open boolean NOT NULL DEFAULT false,
    session_at timestamptz,
    session_replaced_at timestamptz,
    reported jsonb NOT NULL DEFAULT '{}',
    FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);
COMMENT ON TABLE public.device_state IS
    'What a device last let us know. Apart from devices, since it changes all the time.';
COMMENT ON COLUMN public.device_state.state_at IS
    'Arrival of the newest thing that is_online rests on; nothing older may change it.';
COMMENT ON COLUMN public.device_state.session_at IS 'Arrival of the newest presence event.';
COMMENT ON COLUMN public.device_state.session_replaced_at IS
    'When a newer session last took over: the Will of the older one says nothing.';
COMMENT ON COLUMN public.device_state.reported IS 'Metadata that the device itself reported.';
CREATE INDEX device_state_online_idx ON public.device_state (last_seen) WHERE is_online;

CREATE FUNCTION public.add_device_state() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO public.device_state (device_id, tenant_id) VALUES (NEW.id, NEW.tenant_id);
    RETURN NEW;
END
$$;
CREATE TRIGGER devices_add_state AFTER INSERT ON public.devices
    FOR EACH ROW EXECUTE FUNCTION public.add_device_state();

CREATE FUNCTION public.check_template_tenant() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.device_templates t
        WHERE t.id = NEW.template_id AND (t.tenant_id IS NULL OR t.tenant_id = NEW.tenant_id)
    ) THEN
        RAISE EXCEPTION 'template % is not one of this tenant', NEW.template_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER devices_check_template BEFORE INSERT OR UPDATE OF template_id ON public.devices
    FOR EACH ROW EXECUTE FUNCTION public.check_template_tenant();
