#!/usr/bin/env python3
"""Programs two vifs and a route through the router's socket, and reads them back.

Usage: two_vifs.py [SOCKET]
The ports loop back inside the router, so it needs no device and no privilege beyond opening the socket.
"""

import sys

import grpc

from vrouter_api import DEFAULT_SOCKET, Dataplane, Refused, address, mac, pb, prefix

COOKIE = 0x7079  # by this we recognise our own objects
VRF = 100


def main(socket):
    router = Dataplane(socket)
    status = router.status()
    print(f"vrouter {status.version}, instance {status.instance}, {len(status.workers)} worker(s)")

    ports = [pb.Port(name=f"py{i}", loopback=pb.LoopbackDriver(), cookie=COOKIE) for i in (1, 2)]
    vifs = [
        pb.Vif(
            id=1000 + i, name=f"py-vif{i}", kind=pb.VIF_KIND_VIRTUAL, port=f"py{i}", vrf=VRF, mac=mac("00:00:5e:00:01:00"),
            addresses=[address("10.9.0.1")], cookie=COOKIE)
        for i in (1, 2)
    ]
    next_hop = pb.NextHop(
        id=1002, encap=pb.EncapNextHop(vif=1002, destination_mac=mac("02:00:00:00:09:02"), source_mac=mac("00:00:5e:00:01:00")), cookie=COOKIE)
    route = pb.Route(vrf=VRF, **prefix("10.9.0.2/32"), next_hop=1002, proxies=True, cookie=COOKIE)

    # One call: a batch is applied in order, so what is referred to comes first.
    router.upsert(
        *[pb.Object(port=p) for p in ports], pb.Object(vrf=pb.Vrf(id=VRF, name="python", cookie=COOKIE)), *[pb.Object(vif=v) for v in vifs],
        pb.Object(next_hop=next_hop), pb.Object(route=route))

    for vif in [o.vif for o in router.read(pb.TABLE_VIF) if o.vif.cookie == COOKIE]:
        print(f"vif {vif.id} {vif.name} on {vif.port}: received {vif.stats.rx_packets}, transmitted {vif.stats.tx_packets} packets")
    found = [o.route for o in router.read(pb.TABLE_ROUTE, vrf=VRF, family=4)]
    for r in found:
        print(f"route {'.'.join(str(b) for b in r.address)}/{r.prefix_length} -> next hop {r.next_hop}")
    assert [(r.address, r.prefix_length, r.next_hop) for r in found] == [(address("10.9.0.2"), 32, 1002)]

    # A refusal says what was wrong with which field.
    try:
        router.upsert(pb.Object(route=pb.Route(vrf=VRF, address=address("10.9.0.2"), prefix_length=24, next_hop=1002)))
        raise AssertionError("host bits were accepted")
    except Refused as refused:
        print(f"refused, as it should be: {refused}")

    # Cleaned up in the opposite order: what refers to others goes first.
    router.delete(
        pb.Key(route=pb.RouteKey(vrf=VRF, **prefix("10.9.0.2/32"))), pb.Key(next_hop=1002), *[pb.Key(vif=v.id) for v in vifs], pb.Key(vrf=VRF),
        *[pb.Key(port=p.name) for p in ports])
    assert not [o for o in router.read(pb.TABLE_VIF) if o.vif.cookie == COOKIE]
    router.close()
    print("ok")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_SOCKET)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
