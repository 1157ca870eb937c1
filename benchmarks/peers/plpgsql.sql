-- SPDX-License-Identifier: MIT
--
-- project_create as a function: it returns one row, of the rows that were written.
CREATE FUNCTION project_create(
    in_silo_id uuid, in_id uuid, in_name text, in_description text, in_vpc_id uuid,
    in_router_id uuid, in_subnet_id uuid, in_block cidr, in_internal_id uuid, in_ssh_id uuid,
    OUT project project, OUT vpc vpc, OUT router vpc_router, OUT subnet vpc_subnet,
    OUT internal vpc_firewall_rule, OUT ssh vpc_firewall_rule
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    UPDATE silo SET rcgen = rcgen + 1 WHERE id = in_silo_id AND time_deleted IS NULL;
    IF NOT FOUND THEN
        RAISE no_data_found;
    END IF;

    INSERT INTO project (id, silo_id, name, description)
    VALUES (in_id, in_silo_id, in_name, in_description) RETURNING * INTO project;

    INSERT INTO vpc (id, project_id, system_router_id, name)
    VALUES (in_vpc_id, in_id, in_router_id, 'default') RETURNING * INTO vpc;

    INSERT INTO vpc_router (id, vpc_id, kind, name)
    VALUES (in_router_id, in_vpc_id, 'system', 'system') RETURNING * INTO router;

    INSERT INTO vpc_subnet (id, vpc_id, name, ipv4_block)
    VALUES (in_subnet_id, in_vpc_id, 'default', in_block) RETURNING * INTO subnet;

    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    VALUES (in_internal_id, in_vpc_id, 'allow-internal-inbound', 'inbound', 'allow', '{}', 65534)
    RETURNING * INTO internal;

    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    VALUES (in_ssh_id, in_vpc_id, 'allow-ssh', 'inbound', 'allow', '{tcp}', 65534)
    RETURNING * INTO ssh;

    UPDATE silo_limits SET projects_used = projects_used + 1 WHERE silo_id = in_silo_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the silo has no limits';
    END IF;
END
$$
