"""Test doubles for machines without AWS: an embedded AWS (moto) and a stand-in `pulumi-resource-aws`.

Neither is AWS nor the AWS provider. They serve exactly what ECM declares and reads, and are stricter than the real
thing where they differ: an unknown type, property or value is an error. The package `ecm` never imports them.
"""
