"""Ports for a federation on one machine: free ones, others for every folder, none that an outgoing connection could take."""

from __future__ import annotations

import socket

from afuic.deploy.checks import SERVERS, free_ports


def test_the_same_name_gives_the_same_ports_and_another_name_others() -> None:
    first = free_ports(6, "one")
    assert len({*first}) == 6
    assert all(port in SERVERS for port in first)
    assert free_ports(6, "one") == first
    assert not {*first} & {*free_ports(6, "two")}


def test_a_port_where_somebody_listens_is_left_out() -> None:
    first = free_ports(3, "one")
    with socket.create_server(("127.0.0.1", first[0])):
        assert first[0] not in free_ports(3, "one")
