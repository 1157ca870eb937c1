-- SPDX-License-Identifier: MIT
--
-- The tables of a real control plane, as far as these flows touch them: names of tables, columns
-- and constraints are its own (facts: consumer-flows.md, 2.0), the types are PostgreSQL's. A CHECK
-- that has no name there has the one that PostgreSQL gives it. There are no foreign keys: parents
-- are soft-deleted, which no foreign key sees.
--
-- New here: `limits`, which was asked for and never built; and times have a DEFAULT.

CREATE TYPE instance_state_v2 AS ENUM ('creating', 'no_vmm', 'vmm', 'failed', 'destroyed');
CREATE TYPE vpc_router_kind AS ENUM ('system', 'custom');
CREATE TYPE router_route_kind AS ENUM ('default', 'vpc_subnet', 'vpc_peering', 'custom');
CREATE TYPE vpc_firewall_rule_status AS ENUM ('disabled', 'enabled');
CREATE TYPE vpc_firewall_rule_direction AS ENUM ('inbound', 'outbound');
CREATE TYPE vpc_firewall_rule_action AS ENUM ('allow', 'deny');
CREATE TYPE ip_kind AS ENUM ('snat', 'ephemeral', 'floating');

CREATE TABLE silo (
    id             uuid PRIMARY KEY,
    name           varchar(63) NOT NULL,
    description    varchar(512) NOT NULL DEFAULT '',
    time_created   timestamptz NOT NULL DEFAULT now(),
    time_modified  timestamptz NOT NULL DEFAULT now(),
    time_deleted   timestamptz,
    rcgen          bigint NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX lookup_silo_by_name ON silo (name) WHERE time_deleted IS NULL;

CREATE TABLE limits (
    silo_id        uuid PRIMARY KEY,
    nprojects      bigint NOT NULL DEFAULT 0,
    max_nprojects  bigint NOT NULL,
    CONSTRAINT nprojects_within_limit CHECK (nprojects <= max_nprojects)
);

CREATE TABLE silo_quotas (
    silo_id        uuid PRIMARY KEY,
    time_created   timestamptz NOT NULL DEFAULT now(),
    time_modified  timestamptz NOT NULL DEFAULT now(),
    cpus           bigint NOT NULL,
    memory_bytes   bigint NOT NULL,
    storage_bytes  bigint NOT NULL,
    CONSTRAINT cpus_not_negative CHECK (cpus >= 0),
    CONSTRAINT memory_not_negative CHECK (memory_bytes >= 0),
    CONSTRAINT storage_not_negative CHECK (storage_bytes >= 0)
);

CREATE TABLE project (
    id             uuid PRIMARY KEY,
    name           varchar(63) NOT NULL,
    description    varchar(512) NOT NULL DEFAULT '',
    time_created   timestamptz NOT NULL DEFAULT now(),
    time_modified  timestamptz NOT NULL DEFAULT now(),
    time_deleted   timestamptz,
    rcgen          bigint NOT NULL DEFAULT 1,
    silo_id        uuid NOT NULL
);
CREATE UNIQUE INDEX lookup_project_by_silo ON project (silo_id, name) WHERE time_deleted IS NULL;

CREATE TABLE virtual_provisioning_collection (
    id                              uuid PRIMARY KEY,
    time_modified                   timestamptz NOT NULL DEFAULT now(),
    collection_type                 varchar(63) NOT NULL,
    virtual_disk_bytes_provisioned  bigint NOT NULL,
    cpus_provisioned                bigint NOT NULL,
    ram_provisioned                 bigint NOT NULL
);

CREATE TABLE virtual_provisioning_resource (
    id                              uuid PRIMARY KEY,
    time_modified                   timestamptz NOT NULL DEFAULT now(),
    resource_type                   varchar(63) NOT NULL,
    virtual_disk_bytes_provisioned  bigint NOT NULL,
    cpus_provisioned                bigint NOT NULL,
    ram_provisioned                 bigint NOT NULL
);

CREATE TABLE vpc (
    id                uuid PRIMARY KEY,
    name              varchar(63) NOT NULL,
    description       varchar(512) NOT NULL DEFAULT '',
    time_created      timestamptz NOT NULL DEFAULT now(),
    time_modified     timestamptz NOT NULL DEFAULT now(),
    time_deleted      timestamptz,
    project_id        uuid NOT NULL,
    system_router_id  uuid NOT NULL,
    dns_name          varchar(63) NOT NULL,
    vni               integer NOT NULL,
    ipv6_prefix       cidr NOT NULL,
    firewall_gen      bigint NOT NULL DEFAULT 1,
    subnet_gen        bigint NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX lookup_vpc_by_project ON vpc (project_id, name) WHERE time_deleted IS NULL;
CREATE UNIQUE INDEX lookup_vpc_by_vni ON vpc (vni) WHERE time_deleted IS NULL;

CREATE TABLE vpc_subnet (
    id                uuid PRIMARY KEY,
    name              varchar(63) NOT NULL,
    description       varchar(512) NOT NULL DEFAULT '',
    time_created      timestamptz NOT NULL DEFAULT now(),
    time_modified     timestamptz NOT NULL DEFAULT now(),
    time_deleted      timestamptz,
    vpc_id            uuid NOT NULL,
    rcgen             bigint NOT NULL DEFAULT 1,
    ipv4_block        cidr NOT NULL,
    ipv6_block        cidr NOT NULL,
    custom_router_id  uuid
);
CREATE UNIQUE INDEX vpc_subnet_vpc_id_name_key ON vpc_subnet (vpc_id, name)
    WHERE time_deleted IS NULL;

CREATE TABLE vpc_router (
    id                uuid PRIMARY KEY,
    name              varchar(63) NOT NULL,
    description       varchar(512) NOT NULL DEFAULT '',
    time_created      timestamptz NOT NULL DEFAULT now(),
    time_modified     timestamptz NOT NULL DEFAULT now(),
    time_deleted      timestamptz,
    kind              vpc_router_kind NOT NULL,
    vpc_id            uuid NOT NULL,
    rcgen             bigint NOT NULL DEFAULT 1,
    resolved_version  bigint NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX lookup_router_by_vpc ON vpc_router (vpc_id, name) WHERE time_deleted IS NULL;

CREATE TABLE router_route (
    id             uuid PRIMARY KEY,
    name           varchar(63) NOT NULL,
    description    varchar(512) NOT NULL DEFAULT '',
    time_created   timestamptz NOT NULL DEFAULT now(),
    time_modified  timestamptz NOT NULL DEFAULT now(),
    time_deleted   timestamptz,
    vpc_router_id  uuid NOT NULL,
    kind           router_route_kind NOT NULL,
    target         varchar(128) NOT NULL,
    destination    varchar(128) NOT NULL,
    vpc_subnet_id  uuid,
    CONSTRAINT non_null_vpc_subnet CHECK ((kind = 'vpc_subnet') = (vpc_subnet_id IS NOT NULL))
);
CREATE UNIQUE INDEX lookup_route_by_router ON router_route (vpc_router_id, name)
    WHERE time_deleted IS NULL;
CREATE UNIQUE INDEX lookup_subnet_route_by_id ON router_route (vpc_subnet_id)
    WHERE time_deleted IS NULL AND kind = 'vpc_subnet';

CREATE TABLE internet_gateway (
    id             uuid PRIMARY KEY,
    name           varchar(63) NOT NULL,
    description    varchar(512) NOT NULL DEFAULT '',
    time_created   timestamptz NOT NULL DEFAULT now(),
    time_modified  timestamptz NOT NULL DEFAULT now(),
    time_deleted   timestamptz,
    vpc_id         uuid NOT NULL,
    rcgen          bigint NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX lookup_internet_gateway_by_vpc ON internet_gateway (vpc_id, name)
    WHERE time_deleted IS NULL;

CREATE TABLE vpc_firewall_rule (
    id             uuid PRIMARY KEY,
    name           varchar(63) NOT NULL,
    description    varchar(512) NOT NULL DEFAULT '',
    time_created   timestamptz NOT NULL DEFAULT now(),
    time_modified  timestamptz NOT NULL DEFAULT now(),
    time_deleted   timestamptz,
    vpc_id         uuid NOT NULL,
    status         vpc_firewall_rule_status NOT NULL,
    direction      vpc_firewall_rule_direction NOT NULL,
    targets        varchar(125)[] NOT NULL,
    action         vpc_firewall_rule_action NOT NULL,
    priority       integer NOT NULL CHECK (priority BETWEEN 0 AND 65535)
);
CREATE UNIQUE INDEX lookup_firewall_by_vpc ON vpc_firewall_rule (vpc_id, name)
    WHERE time_deleted IS NULL;

CREATE TABLE instance (
    id                  uuid PRIMARY KEY,
    name                varchar(63) NOT NULL,
    description         varchar(512) NOT NULL DEFAULT '',
    time_created        timestamptz NOT NULL DEFAULT now(),
    time_modified       timestamptz NOT NULL DEFAULT now(),
    time_deleted        timestamptz,
    project_id          uuid NOT NULL,
    state               instance_state_v2 NOT NULL,
    time_state_updated  timestamptz NOT NULL DEFAULT now(),
    state_generation    bigint NOT NULL,
    active_propolis_id  uuid,
    migration_id        uuid,
    updater_id          uuid,
    updater_gen         bigint NOT NULL DEFAULT 0,
    ncpus               bigint NOT NULL,
    memory              bigint NOT NULL,
    boot_disk_id        uuid,
    CONSTRAINT vmm_iff_active_propolis CHECK ((state = 'vmm') = (active_propolis_id IS NOT NULL))
);
CREATE UNIQUE INDEX lookup_instance_by_project ON instance (project_id, name)
    WHERE time_deleted IS NULL;

CREATE TABLE disk (
    id                  uuid PRIMARY KEY,
    name                varchar(63) NOT NULL,
    description         varchar(512) NOT NULL DEFAULT '',
    time_created        timestamptz NOT NULL DEFAULT now(),
    time_modified       timestamptz NOT NULL DEFAULT now(),
    time_deleted        timestamptz,
    rcgen               bigint NOT NULL DEFAULT 1,
    project_id          uuid NOT NULL,
    disk_state          varchar(32) NOT NULL,
    attach_instance_id  uuid,
    state_generation    bigint NOT NULL,
    slot                smallint CHECK (slot BETWEEN 0 AND 11),
    time_state_updated  timestamptz NOT NULL DEFAULT now(),
    size_bytes          bigint NOT NULL,
    block_size          bigint NOT NULL,
    disk_type           varchar(32) NOT NULL
);
CREATE UNIQUE INDEX lookup_disk_by_project ON disk (project_id, name) WHERE time_deleted IS NULL;

CREATE TABLE disk_type_crucible (
    disk_id    uuid PRIMARY KEY,
    volume_id  uuid NOT NULL
);
CREATE UNIQUE INDEX lookup_disk_by_volume_id ON disk_type_crucible (volume_id);

-- What else a project may hold, as far as its deletion asks.
CREATE TABLE image (
    id             uuid PRIMARY KEY,
    name           varchar(63) NOT NULL,
    time_deleted   timestamptz,
    project_id     uuid
);
CREATE TABLE snapshot (
    id             uuid PRIMARY KEY,
    name           varchar(63) NOT NULL,
    time_deleted   timestamptz,
    project_id     uuid NOT NULL
);
CREATE TABLE affinity_group (LIKE snapshot INCLUDING ALL);
CREATE TABLE anti_affinity_group (LIKE snapshot INCLUDING ALL);
CREATE TABLE external_ip (
    id             uuid PRIMARY KEY,
    name           varchar(63),
    time_deleted   timestamptz,
    project_id     uuid,
    kind           ip_kind NOT NULL,
    ip             inet NOT NULL,
    CONSTRAINT null_project_id CHECK (kind = 'floating' OR project_id IS NULL)
);

-- What hangs on an instance, as far as its deletion cleans up.
CREATE TABLE affinity_group_instance_membership (
    group_id     uuid,
    instance_id  uuid,
    PRIMARY KEY (group_id, instance_id)
);
CREATE TABLE anti_affinity_group_instance_membership (
    group_id     uuid,
    instance_id  uuid,
    PRIMARY KEY (group_id, instance_id)
);
CREATE TABLE instance_ssh_key (
    instance_id  uuid,
    ssh_key_id   uuid,
    PRIMARY KEY (instance_id, ssh_key_id)
);
CREATE TABLE migration (
    id            uuid PRIMARY KEY,
    instance_id   uuid NOT NULL,
    time_deleted  timestamptz
);

CREATE TABLE device_auth_request (
    user_code     varchar(20) PRIMARY KEY,
    client_id     uuid NOT NULL,
    device_code   varchar(40) NOT NULL,
    time_created  timestamptz NOT NULL,
    time_expires  timestamptz NOT NULL
);
CREATE TABLE device_access_token (
    id              uuid PRIMARY KEY,
    token           varchar(40) NOT NULL,
    client_id       uuid NOT NULL,
    device_code     varchar(40) NOT NULL,
    silo_user_id    uuid NOT NULL,
    time_requested  timestamptz NOT NULL,
    time_created    timestamptz NOT NULL DEFAULT now(),
    time_expires    timestamptz
);
CREATE UNIQUE INDEX lookup_device_access_token_by_client
    ON device_access_token (client_id, device_code);
CREATE UNIQUE INDEX device_access_token_unique ON device_access_token (token);
