import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf
import Testing

@testable import DataplaneService

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Client and server over a Unix socket, with a real router on loopback ports.
@Suite struct RoundTripTests {
    private func withServer(
        workers: Bool = false, _ body: (DataplaneClient, Router) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let pool = try HeapBufferPool(capacity: 256)
            let configuration = RouterConfiguration(flowCapacity: 4096, nextHopCapacity: 65_536)
            let router = Router(configuration, pool: pool) { spec throws(PortError) in
                switch spec.driver {
                case .loopback: return LoopbackPort(name: spec.name, mtu: spec.mtu)
                default: throw PortError("only loopback here")
                }
            }
            if workers { router.start() }
            defer { router.stop() }
            let server = DataplaneServer(router: router, listener: try SocketListener(path: directory + "/s"), version: "9.9.9")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.serve() }
                let client = try await DataplaneClient.connect(socket: directory + "/s")
                do { try await body(client, router) } catch {
                    client.close()
                    server.shutDown()
                    throw error
                }
                client.close()
                server.shutDown()
                try await group.waitForAll()
            }
        }
    }

    /// A fabric and two workloads on loopback ports, a VRF, next hops of the usual kinds.
    private let base: [Dataplane_V1_Operation] = {
        var operations: [Dataplane_V1_Operation] = []
        for name in ["f", "a", "b"] {
            operations.append(
                .upsert(
                    .port(
                        .with {
                            $0.name = name; $0.loopback = .init(); $0.cookie = 9
                        })))
        }
        operations.append(
            .upsert(
                .vrf(
                    .with {
                        $0.id = 1; $0.name = "blue"
                    })))
        operations.append(
            .upsert(
                .vif(
                    .with {
                        $0.name = "fabric"
                        $0.kind = .physical
                        $0.port = "f"
                        $0.macAddress = macB
                        $0.ipAddresses = [.v4(IPv4Address(10, 0, 0, 1))]
                    })))
        for (id, name) in [(3, "a"), (4, "b")] {
            operations.append(
                .upsert(
                    .vif(
                        .with {
                            $0.id = UInt32(id)
                            $0.name = "w-\(name)"
                            $0.kind = .virtual
                            $0.port = name
                            $0.vrf = 1
                            $0.macAddress = .gateway
                            $0.bridges = true
                        })))
            operations.append(
                .upsert(
                    .nextHop(
                        .with {
                            $0.id = UInt32(id);
                            $0.encap = .with {
                                $0.vif = UInt32(id); $0.destination = macA
                            }
                        })))
        }
        return operations
    }()

    @Test func programmedObjectsAreReadBack() async throws {
        try await withServer { client, _ in
            var operations = base
            operations.append(
                .upsert(
                    .route(
                        .with {
                            $0.vrf = 1; $0.prefix = prefix("10.1.0.4/32"); $0.nextHop = 3; $0.label = 5000; $0.cookie = 77
                        })))
            operations.append(
                .upsert(
                    .route(
                        .with {
                            $0.vrf = 1; $0.prefix = prefix("fd00:1::/64"); $0.nextHop = 0
                        })))
            operations.append(
                .upsert(
                    .bridgeEntry(
                        .with {
                            $0.vrf = 1; $0.macAddress = macA; $0.nextHop = 4
                        })))
            operations.append(
                .upsert(
                    .label(
                        .with {
                            $0.label = 16; $0.nextHop = 3
                        })))
            let results = try await client.apply(operations)
            #expect(results.map(\.code) == operations.map { _ in .ok }, "\(results.map(\.message))")

            let ports = try await client.readAll(.port)
            #expect(ports.map(\.port.name) == ["a", "b", "f"])
            #expect(ports.first?.port.deviceDriver == "loopback")
            #expect(ports.first?.port.effectiveMtu == 1500)
            #expect(ports.first?.port.cookie == 9)
            let vifs = try await client.readAll(.vif)
            #expect(vifs.map(\.vif.id) == [0, 3, 4])
            #expect(vifs.first?.vif.ipAddresses == [.v4(IPv4Address(10, 0, 0, 1))])
            #expect(vifs.first?.vif.kind == .physical)
            #expect(try await client.readAll(.vif, id: 3).map(\.vif.name) == ["w-a"])
            #expect(try await client.readAll(.vif, id: 5).isEmpty)
            let routes = try await client.readAll(.route, vrf: 1, family: 4)
            #expect(routes.count == 1)
            #expect(routes.first?.route.prefix == prefix("10.1.0.4/32"))
            #expect(routes.first?.route.label == 5000)
            #expect(routes.first?.route.cookie == 77)
            #expect(try await client.readAll(.route, vrf: 1).count == 2)
            #expect(try await client.readAll(.bridge, vrf: 1).map(\.bridgeEntry.macAddress) == [macA])
            #expect(try await client.readAll(.label).map(\.label.nextHop) == [3])
            let nextHops = try await client.readAll(.nextHop)
            #expect(nextHops.map(\.nextHop.id) == [0, 3, 4])
            #expect((nextHops.first { $0.nextHop.id == 3 }?.nextHop.references ?? 0) >= 2)
            #expect(try await client.readAll(.vrf, id: 1).first?.vrf.ipv4Routes == 1)
        }
    }

    /// One refused operation does not stop the others, and each says why in its own result.
    @Test func refusalsAreResults() async throws {
        try await withServer { client, _ in
            let results = try await client.apply(
                base + [
                    .upsert(
                        .route(
                            .with {
                                $0.vrf = 1; $0.address = Data([10, 1]); $0.prefixLength = 16
                            })),
                    .upsert(
                        .route(
                            .with {
                                $0.vrf = 1; $0.prefix = prefix("10.1.0.4/32"); $0.nextHop = 55
                            })),
                    .upsert(
                        .port(
                            .with {
                                $0.name = "p"; $0.pcap = .with { $0.interface = "eth0" }
                            })),
                    .delete(.vif(99)),
                    .delete(.port("a")),
                    .upsert(
                        .route(
                            .with {
                                $0.vrf = 1; $0.prefix = prefix("10.1.0.4/32"); $0.nextHop = 3
                            })),
                ])
            let tail = Array(results.dropFirst(base.count))
            #expect(tail.map(\.code) == [.invalid, .notFound, .portFailed, .notFound, .inUse, .ok], "\(tail.map(\.message))")
            #expect(
                tail[0].message == "operation \(base.count): upsert.route.address: 0a:01: an address has 4 or 16 octets in network order, this has 2")
            #expect(tail[1].message.contains("55"))
            #expect(tail[2].message.contains("only loopback here"))
            #expect(try await client.readAll(.route, vrf: 1).count == 1)
        }
    }

    /// More objects than a batch and a page hold, over several VRFs: all are written, all come back once, in order.
    @Test func batchesAndPages() async throws {
        try await withServer { client, _ in
            var operations = base
            operations.append(
                .upsert(
                    .vrf(
                        .with {
                            $0.id = 2; $0.name = "empty"
                        })))
            operations.append(
                .upsert(
                    .vrf(
                        .with {
                            $0.id = 3; $0.name = "red"
                        })))
            let count: UInt32 = 6000
            for vrf in [UInt32(1), 3] {
                for index in 0..<count {
                    let address = IPAddress.v4(IPv4Address(rawValue: 0x0A00_0000 | index))
                    operations.append(
                        .upsert(
                            .route(
                                .with {
                                    $0.vrf = vrf; $0.prefix = IPPrefix(host: address); $0.nextHop = 3
                                })))
                }
            }
            for index in 0..<count {
                operations.append(
                    .upsert(
                        .nextHop(
                            .with {
                                $0.id = 100 + index; $0.discard = .init()
                            })))
            }
            #expect(operations.count > DataplaneClient.maximumBatch)
            let results = try await client.apply(operations)
            #expect(results.allSatisfy { $0.code == .ok }, "\(results.first { $0.code != .ok }?.message ?? "")")

            for pageSize in [UInt32(0), 999, 1000, 12_000, 50_000] {
                var request = Dataplane_V1_ReadRequest.with {
                    $0.table = .route; $0.pageSize = pageSize; $0.family = 4
                }
                var seen: [(UInt32, IPPrefix?)] = []
                repeat {
                    let page = try await client.read(request)
                    #expect(page.objects.count <= 10_000)
                    seen += page.objects.map { ($0.route.vrf, $0.route.prefix) }
                    try #require(seen.count <= 12_000, "a page came twice")
                    request.pageToken = page.nextPageToken
                } while !request.pageToken.isEmpty
                #expect(seen.map(\.0) == Array(repeating: 1, count: 6000) + Array(repeating: 3, count: 6000), "page size \(pageSize)")
                #expect(seen.prefix(6000).map(\.1) == (0..<count).map { IPPrefix(host: .v4(IPv4Address(rawValue: 0x0A00_0000 | $0))) })
            }
            let nextHops = try await client.readAll(.nextHop)
            #expect(nextHops.map(\.nextHop.id) == [0, 3, 4] + (0..<count).map { $0 + 100 })
        }
    }

    @Test func requestsThatCannotBeUnderstood() async throws {
        try await withServer { client, _ in
            let requests: [(Dataplane_V1_ReadRequest, String)] = [
                (.init(), "table: missing"), (.with { $0.table = .UNRECOGNIZED(77) }, "table: 77: no such table"),
                (
                    .with {
                        $0.table = .route; $0.pageToken = Data([1, 2, 3])
                    },
                    "page_token: not a token from a reply to this request; start again with an empty one"
                ),
                (
                    .with {
                        $0.table = .vif; $0.vrf = 1
                    },
                    "vrf: 1: this filter is for routes, bridge entries and flows; a VRF itself is asked for by id"
                ),
                (
                    .with {
                        $0.table = .vif; $0.family = 4
                    }, "family: 4: this filter is for routes"
                ),
                (
                    .with {
                        $0.table = .route; $0.family = 5
                    }, "family: 5: 4, 6 or 0 for both"
                ),
                (
                    .with {
                        $0.table = .port; $0.id = 5
                    }, "id: 5: objects of this table have no number"
                ),
            ]
            for (request, message) in requests {
                let error = await #expect(throws: DataplaneError.self) { _ = try await client.read(request) }
                #expect(error?.kind == .invalid)
                #expect(error?.description == message)
            }
        }
    }

    @Test func queuesAreAssigned() async throws {
        try await withServer { client, router in
            #expect(try await client.apply(base).allSatisfy { $0.code == .ok })
            let queues = try await client.status().workers[0].queues
            #expect(queues.map(\.queue).allSatisfy { $0 == 0 } && queues.map(\.port) == router.ports().map(\.spec.name) && !queues.isEmpty)
            let port = queues[0].port
            #expect(try await client.assignQueue(port: port, queue: 0, worker: 0).code == .ok)
            #expect(try await client.status().workers[0].queues[0].isFixed)
            #expect(try await client.assignQueue(port: port, queue: 0, worker: nil).code == .ok)
            #expect(try await client.status().workers[0].queues[0].isFixed == false)
            for (name, queue, worker, message) in [
                ("none", 0, 0, "port none: does not exist"), (port, 5, 0, "port \(port): has no receive queue 5; it has 1"),
                (port, 0, 7, "worker 7: does not exist; there are 1"), (port, .max, .max, "port \(port): has no receive queue 4294967295; it has 1"),
            ] as [(String, UInt32, UInt32, String)] {
                let result = try await client.assignQueue(port: name, queue: queue, worker: worker)
                #expect(result.code == .notFound && result.message == message)
            }
            // One worker: nothing to even out.
            #expect(try await client.status().rebalancing.intervalS == 0)
        }
    }

    @Test func statusAddsUp() async throws {
        try await withServer { client, _ in
            let status = try await client.status()
            #expect(status.version == "9.9.9")
            #expect(status.instance.count > 8)
            #expect(try await client.status().instance == status.instance)
            #expect(status.drops.count == DropReason.allCases.count)
            #expect(status.drops.contains { $0.name == "ttl_exceeded" && $0.label == "TTL Exceeded" })
            #expect(status.workers.map(\.core) == [-1])
            #expect(status.buffersCapacity == 256)
            #expect(status.tables.contains { $0.capacity == 65_536 })
            try await client.clearCounters(drops: true, vifs: true)
        }
    }

    /// An ARP reply put in as if received on the fabric comes back as a trap, unchanged; a packet out of a vif that is not there is refused
    /// by its number; the stream ends when the listener is cancelled.
    @Test func trapsBothWays() async throws {
        let arp: [UInt8] =
            macB.bytes + macA.bytes + [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2] + macA.bytes + [10, 0, 0, 9] + macB.bytes + [10, 0, 0, 1]
            + [UInt8](repeating: 0, count: 18)
        try await withServer(workers: true) { client, _ in
            #expect(try await client.apply(base).allSatisfy { $0.code == .ok })
            let (packets, send) = AsyncStream.makeStream(of: Dataplane_V1_PacketOut.self)
            let (events, received) = AsyncStream.makeStream(of: Dataplane_V1_TrapEvent.self)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    do throws(DataplaneError) {
                        try await client.traps(
                            sending: packets,
                            onListening: {
                                send.yield(.init(.receive, vif: 0, packet: arp))
                                send.yield(.init(.transmit, vif: 77, packet: arp))
                            }, handler: { received.yield($0) })
                    } catch {
                        if error.kind != .cancelled { throw error }
                    }
                }
                var trap: Dataplane_V1_Trap?
                var refusal: Dataplane_V1_Refusal?
                for await event in events {
                    switch event.event {
                    case .trap(let value): trap = value
                    case .refusal(let value): refusal = value
                    case nil: Issue.record("an event without content")
                    }
                    if trap != nil, refusal != nil { break }
                }
                #expect(trap?.reason == .arp)
                #expect(trap?.vif == 0)
                #expect(trap.map { Array($0.packet) } == arp)
                #expect(trap?.lost == 0)
                #expect(refusal?.sequence == 1)
                #expect(refusal?.code == .notFound, "\(String(describing: refusal))")
                group.cancelAll()
                try await group.waitForAll()
            }
        }
    }

    /// The server ends with a listener connected, and the listener is told.
    @Test func shutdownEndsTrapStreams() async throws {
        try await withTemporaryDirectory { directory in
            let router = Router(RouterConfiguration(flowCapacity: 4096), pool: try HeapBufferPool(capacity: 64)) { spec throws(PortError) in
                throw PortError("none")
            }
            defer { router.stop() }
            let server = DataplaneServer(router: router, listener: try SocketListener(path: directory + "/s"), version: "1")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.serve() }
                let client = try await DataplaneClient.connect(socket: directory + "/s")
                let error = await #expect(throws: DataplaneError.self) {
                    try await client.traps(onListening: { server.shutDown() }, handler: { _ in })
                }
                #expect(error?.isUnreachable == true, "\(String(describing: error))")
                try await group.waitForAll()
                #expect(UnixSocket.probe(directory + "/s") == .missing)
                client.close()
            }
        }
    }
}
