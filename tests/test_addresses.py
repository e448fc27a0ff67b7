"""Addresses that strangers give lead to the public internet or nowhere."""

from __future__ import annotations

import asyncio

import pytest

from core import addresses


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", "this host"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "shared by a carrier's customers"),
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local: where clouds keep their keys"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "a relay of 6to4"),
        ("198.18.0.1", "benchmarks"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "this host"),
        ("::1", "loopback"),
        ("::10.0.0.1", "IPv4-compatible"),
        ("::8.8.8.8", "IPv4-compatible"),
        ("::ffff:10.0.0.1", "mapped, private"),
        ("::ffff:224.0.0.1", "mapped, multicast"),
        ("64:ff9b::10.0.0.1", "NAT64"),
        ("64:ff9b::8.8.8.8", "NAT64"),
        ("64:ff9b:1::1", "NAT64 of one network"),
        ("100::1", "discarded"),
        ("2001::1", "Teredo"),
        ("2001:db8::1", "documentation"),
        ("2002:a00:1::", "6to4"),
        ("2002:808:808::", "6to4"),
        ("3fff::1", "documentation"),
        ("fc00::1", "unique local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local with a zone"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("ff0e::1", "multicast of the whole internet"),
    ],
)
def test_what_is_not_public(address, why):
    assert not addresses.is_public(address), why
    assert not addresses.may_be_public(address), why


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "2a02:6b8::a"])
def test_what_is_public(address):
    assert addresses.is_public(address)
    assert addresses.may_be_public(address)


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "localhost.", "here.localhost"])
def test_names_of_this_host_are_not_public(name):
    assert not addresses.may_be_public(name)


@pytest.mark.parametrize("name", ["example.com", "xn--e1afmkfd.xn--p1ai", "localhost.example.com"])
def test_other_names_are_judged_by_where_they_lead(name):
    assert addresses.may_be_public(name)


@pytest.mark.parametrize("name", ["127.0.0.1", "0x7f.1", "2130706433", "localhost"])
def test_a_name_that_leads_to_a_private_address_has_no_public_one(name):
    with pytest.raises(addresses.PrivateAddressError):
        asyncio.run(addresses.public_addresses(name, 80))

    assert asyncio.run(addresses.public_addresses(name, 80, anywhere=True))
