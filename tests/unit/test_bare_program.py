"""The generator of the benchmark's bare program: direct calls, references instead of ids, nothing left out."""

from __future__ import annotations

import pytest

from benchmarks.bare_program import UnknownReferenceError, program, resources, snake_case, statements

URN = "urn:pulumi:dev::fleet::"


def resource(kind, name, inputs, *, id_="", outputs=None, parent="", **more):
    module = "iam" if kind in {"Role", "RolePolicy"} else "ec2"
    token = f"aws:{module}/{kind[0].lower()}{kind[1:]}:{kind}"
    return {
        "urn": f"{URN}{parent}{token}::{name}",
        "type": token,
        "id": id_ or f"{kind}-{name}",
        "inputs": inputs,
        "outputs": outputs or {},
        "propertyDependencies": {},
        "dependencies": [],
    } | more


def exported(*found, outputs=None):
    stack = {"urn": f"{URN}pulumi:pulumi:Stack::fleet-dev", "type": "pulumi:pulumi:Stack", "outputs": outputs or {}}
    component = {"urn": f"{URN}ecm:aws:Tier::edge", "type": "ecm:aws:Tier"}
    return {"version": 3, "deployment": {"resources": [stack, component, *found]}}


VPC = resource(
    "Vpc", "vpc", {"__defaults": [], "cidrBlock": "10.0.0.0/16", "tags": {"ecm:stackName": "dev"}}, id_="vpc-1"
)


def test_a_call_has_the_inputs_in_the_sdks_words_and_tags_as_they_are():
    assert statements(exported(VPC)) == [
        "vpc__vpc = ec2.Vpc('vpc', cidr_block='10.0.0.0/16', tags={'ecm:stackName': 'dev'})"
    ]


def test_components_and_the_stack_are_no_resources():
    assert resources(exported(VPC)) == [VPC]


def test_nested_keys_are_translated_and_tags_within_are_not():
    disk = {"rootBlockDevice": {"volumeSize": 8, "tags": {"ecmSlot": "a"}}, "list": [{"aB": True}]}
    (line,) = statements(exported(resource("Instance", "a", disk)))
    assert "root_block_device={'tags': {'ecmSlot': 'a'}, 'volume_size': 8}" in line
    assert "list=[{'a_b': True}]" in line


def test_an_id_of_another_resource_is_a_reference_to_it():
    subnet = resource("Subnet", "a/b", {"vpcId": "vpc-1"}, propertyDependencies={"vpcId": [VPC["urn"]]})
    assert statements(exported(VPC, subnet))[1] == "subnet__a__b = ec2.Subnet('a/b', vpc_id=vpc__vpc.id)"


def test_a_value_that_only_looks_like_an_id_stays_a_literal():
    subnet = resource("Subnet", "a", {"description": "vpc-1"})
    assert statements(exported(VPC, subnet))[1].endswith("description='vpc-1')")


def test_a_document_is_put_together_from_the_longest_outputs_in_it():
    role = resource("Role", "r", {}, id_="edge", outputs={"arn": "arn:role/edge", "name": "edge"})
    policy = resource(
        "RolePolicy",
        "p",
        {"policy": '{"a":"arn:role/edge","b":"edge-1"}'},
        propertyDependencies={"policy": [role["urn"]]},
    )
    line = statements(exported(role, policy))[1]
    assert "pulumi.Output.all(role__r.arn, role__r.id).apply(" in line
    assert line.endswith("""(lambda v: ''.join(('{"a":"', v[0], '","b":"', v[1], '-1"}'))))""")


def test_names_that_the_provider_made_up_are_left_out():
    first, second = (
        exported(resource("Role", "r", {"__defaults": ["name"], "name": name}, id_=name), outputs={"role": name})
        for name in ("r-123", "r-456")
    )
    assert statements(first) == statements(second) == ["role__r = iam.Role('r')", "pulumi.export('role', role__r.id)"]


def test_explicit_dependencies_are_those_that_no_value_carries():
    gateway = resource("InternetGateway", "g", {})
    subnet = resource(
        "Subnet",
        "a",
        {"vpcId": "vpc-1"},
        propertyDependencies={"vpcId": [VPC["urn"]]},
        dependencies=[VPC["urn"], gateway["urn"]],
        ignoreChanges=["tags"],
    )
    assert statements(exported(VPC, gateway, subnet))[2].endswith(
        "vpc_id=vpc__vpc.id, opts=pulumi.ResourceOptions(depends_on=[internet_gateway__g], ignore_changes=['tags']))"
    )


def test_outputs_are_references_where_they_are_a_resources_and_literals_elsewhere():
    lines = statements(exported(VPC, outputs={"vpcId": "vpc-1", "nodes": {"aB#1": {"vpc": "vpc-1"}}, "serial": 3}))
    assert lines[1:] == [
        "pulumi.export('nodes', {'aB#1': {'vpc': vpc__vpc.id}})",
        "pulumi.export('serial', 3)",
        "pulumi.export('vpcId', vpc__vpc.id)",
    ]


def test_a_dependency_whose_outputs_are_nowhere_in_the_value_is_an_error():
    subnet = resource("Subnet", "a", {"vpcId": "vpc-2"}, propertyDependencies={"vpcId": [VPC["urn"]]})
    with pytest.raises(UnknownReferenceError, match=r"Subnet::a: vpcId: no output of vpc__vpc"):
        statements(exported(VPC, subnet))


def test_two_names_that_would_share_a_variable_are_an_error():
    with pytest.raises(ValueError, match="the same variable"):
        statements(exported(resource("Role", "a-b", {}), resource("Role", "a.b", {})))


def test_the_program_is_a_module_that_imports_what_it_uses():
    source = program(exported(VPC, resource("Role", "r", {})))
    compile(source, "fleet.py", "exec")
    assert "from pulumi_aws import ec2, iam" in source


@pytest.mark.parametrize(
    ("name", "snake"),
    [("cidrIpv4", "cidr_ipv4"), ("httpPutResponseHopLimit", "http_put_response_hop_limit"), ("ami", "ami")],
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake
