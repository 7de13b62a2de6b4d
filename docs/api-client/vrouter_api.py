"""The data plane's programming API from Python: messages made from dataplane.proto at import, calls over the Unix socket.

Needs grpcio and protobuf, and protoc or grpc_tools to read the .proto (Debian: python3-grpcio python3-protobuf protobuf-compiler).
"""

import importlib
import ipaddress
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

import grpc

DEFAULT_SOCKET = "/run/vrouter/dataplane.sock"
MAXIMUM_BATCH = 10_000
PROTO = "dataplane/v1/dataplane.proto"


def _load_messages():
    """Runs protoc on the repository's .proto file, or on the directory given in $VROUTER_PROTOS, and imports what it writes."""
    import os

    here = pathlib.Path(__file__).resolve().parent
    protos = pathlib.Path(os.environ.get("VROUTER_PROTOS", here.parent.parent / "Sources/DataplaneAPI/Protos"))
    if not (protos / PROTO).is_file():
        raise SystemExit(f"{protos / PROTO}: no such file; set VROUTER_PROTOS to the directory that holds {PROTO}")
    with tempfile.TemporaryDirectory() as out:
        arguments = [f"--proto_path={protos}", f"--python_out={out}", PROTO]
        if shutil.which("protoc"):
            subprocess.run(["protoc", *arguments], check=True)
        else:
            subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
        sys.path.insert(0, out)
        try:
            return importlib.import_module("dataplane.v1.dataplane_pb2")
        finally:
            sys.path.remove(out)


pb = _load_messages()


def address(text):
    """Octets of an IPv4 or IPv6 address in network order."""
    return ipaddress.ip_address(text).packed


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def prefix(text):
    """`address` and `prefix_length` of a Route or RouteKey. Raises ValueError when host bits are set."""
    network = ipaddress.ip_network(text)
    return {"address": network.network_address.packed, "prefix_length": network.prefixlen}


class Refused(Exception):
    """An operation that the router did not carry out."""


class Dataplane:
    def __init__(self, socket=DEFAULT_SOCKET, timeout=10):
        self.timeout = timeout
        self.channel = grpc.insecure_channel(
            f"unix:{socket}", options=[("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", 64 << 20)])

    def close(self):
        self.channel.close()

    def _call(self, method, request, reply):
        call = self.channel.unary_unary(
            f"/dataplane.v1.Dataplane/{method}", request_serializer=type(request).SerializeToString, response_deserializer=reply.FromString)
        return call(request, timeout=self.timeout)

    def status(self):
        return self._call("GetStatus", pb.GetStatusRequest(), pb.GetStatusResponse)

    def apply(self, operations):
        """Applies pb.Operation messages in order; returns one pb.Result for each."""
        results = []
        for start in range(0, len(operations), MAXIMUM_BATCH):
            results += self._call("Apply", pb.ApplyRequest(operations=operations[start : start + MAXIMUM_BATCH]), pb.ApplyResponse).results
        return results

    def upsert(self, *objects):
        """Applies pb.Object messages; raises Refused with the router's words when one is not taken."""
        refused = [r for r in self.apply([pb.Operation(upsert=o) for o in objects]) if r.code != pb.CODE_OK]
        if refused:
            raise Refused("; ".join(f"{pb.Code.Name(r.code)}: {r.message}" for r in refused))

    def delete(self, *keys):
        refused = [r for r in self.apply([pb.Operation(delete=k) for k in keys]) if r.code not in (pb.CODE_OK, pb.CODE_NOT_FOUND)]
        if refused:
            raise Refused("; ".join(f"{pb.Code.Name(r.code)}: {r.message}" for r in refused))

    def read(self, table, **filters):
        """Yields every pb.Object of a table, page by page. Filters: vrf, family, id."""
        token = b""
        while True:
            page = self._call("Read", pb.ReadRequest(table=table, page_token=token, **filters), pb.ReadResponse)
            yield from page.objects
            token = page.next_page_token
            if not token:
                return

    def flows(self, **filters):
        """Yields the pb.Flow entries that match a pb.FlowFilter with these fields: vrf, protocol, vif, action, drop_reason, forward_only, endpoints."""
        call = self.channel.unary_stream(
            "/dataplane.v1.Dataplane/ListFlows", request_serializer=pb.ListFlowsRequest.SerializeToString,
            response_deserializer=pb.FlowBatch.FromString)
        for batch in call(pb.ListFlowsRequest(filter=pb.FlowFilter(**filters))):
            yield from batch.flows

    def traps(self):
        """Yields pb.Trap messages as they come, until the caller stops. The first value is None: from then on nothing is missed."""
        stop = threading.Event()

        def nothing_to_send():
            stop.wait()
            yield from ()

        call = self.channel.stream_stream(
            "/dataplane.v1.Dataplane/Traps", request_serializer=pb.PacketOut.SerializeToString, response_deserializer=pb.TrapEvent.FromString)
        events = call(nothing_to_send())
        try:
            events.initial_metadata()
            yield None
            for event in events:
                if event.HasField("trap"):
                    yield event.trap
        finally:
            stop.set()
            events.cancel()
