-- SPDX-License-Identifier: MIT
--
-- vpc_create as a function: what was written comes back as one row, one thing behind the other.
CREATE OR REPLACE FUNCTION vpc_create(
    in_id uuid, in_project_id uuid, in_router_id uuid, in_name text, in_subnet_id uuid,
    in_block cidr, in_internal_id uuid, in_ssh_id uuid,
    OUT vpc vpc, OUT router vpc_router, OUT subnet vpc_subnet,
    OUT internal vpc_firewall_rule, OUT ssh vpc_firewall_rule
) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE project SET rcgen = rcgen + 1 WHERE id = in_project_id AND time_deleted IS NULL;
    IF NOT FOUND THEN
        RAISE no_data_found;
    END IF;

    INSERT INTO vpc (id, project_id, system_router_id, name)
    VALUES (in_id, in_project_id, in_router_id, in_name)
    RETURNING * INTO vpc;

    INSERT INTO vpc_router (id, vpc_id, kind, name)
    VALUES (in_router_id, in_id, 'system', 'system')
    RETURNING * INTO router;

    INSERT INTO vpc_subnet (id, vpc_id, name, ipv4_block)
    VALUES (in_subnet_id, in_id, 'default', in_block)
    RETURNING * INTO subnet;

    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    VALUES (in_internal_id, in_id, 'allow-internal-inbound', 'inbound', 'allow', '{}', 65534)
    RETURNING * INTO internal;

    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    VALUES (in_ssh_id, in_id, 'allow-ssh', 'inbound', 'allow', '{tcp}', 65534)
    RETURNING * INTO ssh;

    UPDATE project SET vpcs_used = vpcs_used + 1 WHERE id = in_project_id;
END
$$
