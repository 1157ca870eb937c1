-- SPDX-License-Identifier: MIT
--
-- project_create as a function: it returns one row, in which all rows that were written follow each other.
CREATE OR REPLACE FUNCTION project_create(
    in_silo_id uuid, in_id uuid, in_name text, in_description text, in_vpc_id uuid,
    in_router_id uuid, in_subnet_id uuid, in_block cidr, in_internal_id uuid, in_ssh_id uuid,
    OUT project_id uuid, OUT project_silo_id uuid, OUT project_name text,
    OUT project_description text, OUT project_rcgen bigint, OUT project_time_created timestamptz,
    OUT vpc_id uuid, OUT vpc_project_id uuid, OUT vpc_system_router_id uuid, OUT vpc_name text,
    OUT vpc_rcgen bigint, OUT vpc_time_created timestamptz,
    OUT router_id uuid, OUT router_vpc_id uuid, OUT router_kind text, OUT router_name text,
    OUT router_time_created timestamptz,
    OUT subnet_id uuid, OUT subnet_vpc_id uuid, OUT subnet_name text, OUT subnet_ipv4_block cidr,
    OUT subnet_time_created timestamptz,
    OUT internal_id uuid, OUT internal_vpc_id uuid, OUT internal_name text,
    OUT internal_direction text, OUT internal_action text, OUT internal_protocols text[],
    OUT internal_priority integer, OUT internal_time_created timestamptz,
    OUT ssh_id uuid, OUT ssh_vpc_id uuid, OUT ssh_name text, OUT ssh_direction text,
    OUT ssh_action text, OUT ssh_protocols text[], OUT ssh_priority integer,
    OUT ssh_time_created timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    UPDATE silo SET rcgen = rcgen + 1 WHERE id = in_silo_id AND time_deleted IS NULL;
    IF NOT FOUND THEN
        RAISE no_data_found;
    END IF;

    INSERT INTO project (id, silo_id, name, description)
    VALUES (in_id, in_silo_id, in_name, in_description)
    RETURNING id, silo_id, name, description, rcgen, time_created
    INTO project_id, project_silo_id, project_name, project_description, project_rcgen,
        project_time_created;

    INSERT INTO vpc (id, project_id, system_router_id, name)
    VALUES (in_vpc_id, in_id, in_router_id, 'default')
    RETURNING id, project_id, system_router_id, name, rcgen, time_created
    INTO vpc_id, vpc_project_id, vpc_system_router_id, vpc_name, vpc_rcgen, vpc_time_created;

    INSERT INTO vpc_router (id, vpc_id, kind, name)
    VALUES (in_router_id, in_vpc_id, 'system', 'system')
    RETURNING id, vpc_id, kind, name, time_created
    INTO router_id, router_vpc_id, router_kind, router_name, router_time_created;

    INSERT INTO vpc_subnet (id, vpc_id, name, ipv4_block)
    VALUES (in_subnet_id, in_vpc_id, 'default', in_block)
    RETURNING id, vpc_id, name, ipv4_block, time_created
    INTO subnet_id, subnet_vpc_id, subnet_name, subnet_ipv4_block, subnet_time_created;

    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    VALUES (in_internal_id, in_vpc_id, 'allow-internal-inbound', 'inbound', 'allow', '{}', 65534)
    RETURNING id, vpc_id, name, direction, action, protocols, priority, time_created
    INTO internal_id, internal_vpc_id, internal_name, internal_direction, internal_action,
        internal_protocols, internal_priority, internal_time_created;

    INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
    VALUES (in_ssh_id, in_vpc_id, 'allow-ssh', 'inbound', 'allow', '{tcp}', 65534)
    RETURNING id, vpc_id, name, direction, action, protocols, priority, time_created
    INTO ssh_id, ssh_vpc_id, ssh_name, ssh_direction, ssh_action, ssh_protocols, ssh_priority,
        ssh_time_created;

    UPDATE silo_limits SET projects_used = projects_used + 1 WHERE silo_id = in_silo_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the silo has no limits';
    END IF;
END
$$
