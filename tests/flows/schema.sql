-- SPDX-License-Identifier: MIT
--
-- What the flows need beyond the example's tables (examples/datastore/schema.sql).

ALTER TABLE instance
    ADD state             text   NOT NULL DEFAULT 'creating',
    ADD state_generation  bigint NOT NULL DEFAULT 1,
    ADD vmm_id            uuid,
    ADD CONSTRAINT instance_runs_on_a_vmm CHECK ((state = 'running') = (vmm_id IS NOT NULL));

CREATE TABLE instance_ssh_key (
    instance_id  uuid,
    ssh_key_id   uuid,
    CONSTRAINT instance_ssh_key_pkey PRIMARY KEY (instance_id, ssh_key_id)
);
CREATE TABLE migration (
    id            uuid NOT NULL CONSTRAINT migration_pkey PRIMARY KEY,
    instance_id   uuid NOT NULL,
    time_deleted  timestamptz
);

ALTER TABLE disk
    ADD state             text   NOT NULL DEFAULT 'creating',
    ADD state_generation  bigint NOT NULL DEFAULT 1,
    ADD instance_id       uuid,
    ADD slot              smallint CONSTRAINT disk_slot_in_range CHECK (slot BETWEEN 0 AND 11);

CREATE TABLE disk_volume (
    disk_id    uuid NOT NULL CONSTRAINT disk_volume_pkey PRIMARY KEY,
    volume_id  uuid NOT NULL CONSTRAINT disk_volume_volume_id_key UNIQUE
);

-- A VPC counts the changes of its firewall rules apart from those of its other children.
ALTER TABLE vpc ADD firewall_gen bigint NOT NULL DEFAULT 1;

CREATE TABLE vpc_vni (
    vpc_id  uuid    NOT NULL CONSTRAINT vpc_vni_pkey PRIMARY KEY,
    vni     integer NOT NULL CONSTRAINT vpc_vni_vni_key UNIQUE
);

CREATE TABLE silo_quotas (
    silo_id  uuid   NOT NULL CONSTRAINT silo_quotas_pkey PRIMARY KEY,
    cpus     bigint NOT NULL,
    memory   bigint NOT NULL,
    storage  bigint NOT NULL
);
CREATE TABLE provisioned_resource (
    id       uuid   NOT NULL CONSTRAINT provisioned_resource_pkey PRIMARY KEY,
    cpus     bigint NOT NULL,
    memory   bigint NOT NULL,
    storage  bigint NOT NULL
);
-- The sums of the resources, for each silo, project and fleet.
CREATE TABLE provisioned (
    id       uuid   NOT NULL CONSTRAINT provisioned_pkey PRIMARY KEY,
    kind     text   NOT NULL,
    cpus     bigint NOT NULL DEFAULT 0,
    memory   bigint NOT NULL DEFAULT 0,
    storage  bigint NOT NULL DEFAULT 0
);

CREATE TABLE device_auth_request (
    client_id     uuid        NOT NULL,
    device_code   text        NOT NULL,
    time_created  timestamptz NOT NULL
);
CREATE TABLE device_access_token (
    id              uuid        NOT NULL CONSTRAINT device_access_token_pkey PRIMARY KEY,
    token           text        NOT NULL CONSTRAINT device_access_token_token_key UNIQUE,
    client_id       uuid        NOT NULL,
    device_code     text        NOT NULL,
    time_requested  timestamptz NOT NULL,
    CONSTRAINT device_access_token_client_key UNIQUE (client_id, device_code)
);
