-- Templates as operators write them: drafts, published versions that nobody changes, a dashboard,
-- how points alarm, and how much such a device may send.

ALTER TABLE public.device_templates
    ADD COLUMN published_at timestamptz,
    ADD COLUMN max_messages_per_minute integer CHECK (max_messages_per_minute > 0),
    ADD COLUMN dashboard jsonb CHECK (jsonb_typeof(dashboard) = 'object');
COMMENT ON COLUMN public.device_templates.published_at IS
    'NULL: a draft, from which no device is made. Published, it is never changed.';
COMMENT ON COLUMN public.device_templates.max_messages_per_minute IS
    'What such a device sends at most; NULL: as the platform says.';
COMMENT ON COLUMN public.device_templates.dashboard IS
    'Panels over names of points, as the dashboard''s schema says; NULL: made from the points.';
COMMENT ON COLUMN public.device_templates.superseded_by IS
    'The version after this one, once that is published.';
UPDATE public.device_templates SET published_at = created_at;

-- Drafts of one code follow each other, so that versions are published in their order.
CREATE UNIQUE INDEX device_templates_draft_idx ON public.device_templates (tenant_id, code)
    NULLS NOT DISTINCT WHERE published_at IS NULL;

ALTER TABLE public.point_templates
    ADD COLUMN polarity text
        CHECK (polarity IS NULL OR polarity IN ('normal', 'inverted') AND type = 'bool'),
    ADD COLUMN hysteresis double precision
        CHECK (hysteresis IS NULL OR hysteresis >= 0 AND hysteresis < 'infinity' AND type = 'num');
ALTER TABLE public.points
    ADD COLUMN polarity text
        CHECK (polarity IS NULL OR polarity IN ('normal', 'inverted') AND type = 'bool'),
    ADD COLUMN hysteresis double precision
        CHECK (hysteresis IS NULL OR hysteresis >= 0 AND hysteresis < 'infinity' AND type = 'num');
COMMENT ON COLUMN public.points.polarity IS
    'normal: true is the alarming value; inverted: false is; NULL: neither.';
COMMENT ON COLUMN public.points.hysteresis IS
    'How far inside its limit a value has to come back to count as normal, in the point''s unit.';
COMMENT ON COLUMN public.point_templates.polarity IS 'See public.points.';
COMMENT ON COLUMN public.point_templates.hysteresis IS 'See public.points.';

-- Who counts a version's devices, moves them, or takes a draft's points away.
CREATE INDEX devices_template_idx ON public.devices (template_id, tenant_id);
CREATE INDEX points_template_idx ON public.points (point_template_id);

CREATE FUNCTION public.refuse_published_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        -- Erasure of a tenant takes its templates along; it alone runs as the owner.
        IF OLD.published_at IS NOT NULL AND current_user <> 'traksense_owner' THEN
            RAISE EXCEPTION 'version % of template % is published', OLD.version, OLD.code
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.code, NEW.version)
       IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.code, OLD.version)
       OR OLD.published_at IS NOT NULL
          AND to_jsonb(NEW) - 'superseded_by' <> to_jsonb(OLD) - 'superseded_by'
       OR OLD.superseded_by IS NOT NULL AND NEW.superseded_by IS DISTINCT FROM OLD.superseded_by
    THEN
        RAISE EXCEPTION 'version % of template % is never changed', OLD.version, OLD.code
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.superseded_by IS NOT NULL AND NOT EXISTS (
        SELECT FROM public.device_templates t
        WHERE t.id = NEW.superseded_by AND t.code = NEW.code AND t.version > NEW.version
          AND t.tenant_id IS NOT DISTINCT FROM NEW.tenant_id AND t.published_at IS NOT NULL
    ) THEN
        RAISE EXCEPTION 'template % is superseded by a later version of its own', NEW.code
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER device_templates_immutable BEFORE UPDATE OR DELETE ON public.device_templates
    FOR EACH ROW EXECUTE FUNCTION public.refuse_published_change();

CREATE FUNCTION public.refuse_published_point() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    published timestamptz;
BEGIN
    IF TG_OP = 'DELETE' AND current_user = 'traksense_owner' THEN
        RETURN OLD;
    END IF;
    -- Locked, so that a version that is being published meanwhile is waited for.
    FOR published IN
        SELECT t.published_at FROM public.device_templates t
        WHERE t.id IN (OLD.device_template_id, NEW.device_template_id)
        FOR SHARE
    LOOP
        IF published IS NOT NULL THEN
            RAISE EXCEPTION 'points of a published template are never changed'
                USING ERRCODE = 'restrict_violation';
        END IF;
    END LOOP;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END
$$;
CREATE TRIGGER point_templates_immutable BEFORE INSERT OR UPDATE OR DELETE
    ON public.point_templates
    FOR EACH ROW EXECUTE FUNCTION public.refuse_published_point();

-- In a tenant's sight a code is one template: its own or a shared one.
CREATE FUNCTION public.check_template_code() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    -- Two that take a code at once: the second one sees what the first one did.
    PERFORM pg_advisory_xact_lock(hashtextextended('traksense.template.' || NEW.code, 0));
    IF EXISTS (
        SELECT FROM public.device_templates t
        WHERE t.code = NEW.code AND (t.tenant_id IS NULL) <> (NEW.tenant_id IS NULL)
    ) THEN
        RAISE EXCEPTION 'template % is there already, for others', NEW.code
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'device_templates_code_sight';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER device_templates_check_code BEFORE INSERT ON public.device_templates
    FOR EACH ROW EXECUTE FUNCTION public.check_template_code();

CREATE OR REPLACE FUNCTION public.check_template_tenant() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    template record;
BEGIN
    SELECT t.tenant_id, t.published_at INTO template
    FROM public.device_templates t WHERE t.id = NEW.template_id;
    IF NOT FOUND OR template.tenant_id <> NEW.tenant_id THEN
        RAISE EXCEPTION 'template % is not one of this tenant', NEW.template_id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF template.published_at IS NULL THEN
        RAISE EXCEPTION 'template % is not published', NEW.template_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_template_published';
    END IF;
    RETURN NEW;
END
$$;
