-- Points as telemetry knows them, dead letters, device events and alarms.

CREATE TABLE public.dim_point (
    point_sk integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    point_id uuid NOT NULL UNIQUE,
    type text NOT NULL,
    unit text
);
COMMENT ON TABLE public.dim_point IS
    'The surrogate key that readings carry. Rows are never changed nor a point_sk used again; '
    'erasure deletes them, and what still names one is refused.';
CREATE INDEX dim_point_device_idx ON public.dim_point (device_id);

CREATE FUNCTION public.add_dim_point() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    INSERT INTO public.dim_point (tenant_id, device_id, point_id, type, unit)
    VALUES (NEW.tenant_id, NEW.device_id, NEW.id, NEW.type, NEW.unit);
    RETURN NEW;
END
$$;
CREATE TRIGGER points_add_dim AFTER INSERT ON public.points
    FOR EACH ROW EXECUTE FUNCTION public.add_dim_point();

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '%.% rows are never changed', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER dim_point_immutable BEFORE UPDATE ON public.dim_point
    FOR EACH ROW EXECUTE FUNCTION public.refuse_change();
-- Type and unit are what stored readings mean: another type is another point.
CREATE TRIGGER points_type_immutable BEFORE UPDATE OF type, unit ON public.points
    FOR EACH ROW WHEN (OLD.type IS DISTINCT FROM NEW.type OR OLD.unit IS DISTINCT FROM NEW.unit)
    EXECUTE FUNCTION public.refuse_change();

CREATE TABLE public.ingest_errors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint bytea NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    received_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    occurrences integer NOT NULL DEFAULT 1,
    tenant_id uuid,
    device_id uuid,
    topic text NOT NULL,
    client_id text,
    reason text NOT NULL,
    detail text NOT NULL,
    errors jsonb NOT NULL DEFAULT '[]',
    payload bytea NOT NULL
);
COMMENT ON TABLE public.ingest_errors IS
    'Dead letters: messages that could not be accepted, whole or in part, with the reason.';
COMMENT ON COLUMN public.ingest_errors.fingerprint IS
    'SHA-256 of topic and payload: the same message delivered again adds no row.';
CREATE INDEX ingest_errors_received_idx ON public.ingest_errors (received_at DESC, id DESC);
CREATE INDEX ingest_errors_tenant_idx
    ON public.ingest_errors (tenant_id, received_at DESC, id DESC);

CREATE TABLE public.device_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    ts timestamptz NOT NULL,
    data jsonb NOT NULL DEFAULT '{}',
    received_at timestamptz NOT NULL,
    UNIQUE (device_id, event_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON COLUMN public.device_events.event_id IS
    'The device''s own, else the SHA-256 of the message, so that a repeat adds no row.';
CREATE INDEX device_events_ts_idx ON public.device_events (device_id, ts DESC);

CREATE TABLE public.device_alarms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id uuid NOT NULL,
    device_id uuid NOT NULL,
    code text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    active boolean NOT NULL,
    ts timestamptz NOT NULL,
    message text,
    received_at timestamptz NOT NULL,
    UNIQUE (device_id, code, ts, active),
    FOREIGN KEY (tenant_id, device_id) REFERENCES public.devices (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX device_alarms_ts_idx ON public.device_alarms (device_id, ts DESC);
