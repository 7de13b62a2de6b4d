import DataplaneAPI
import NetTypes
import SwiftProtobuf
import Testing

@testable import vrctl

@Suite struct NATTests {
    private func router() -> FakeRouter {
        var service = Dataplane_V1_NatRule(), source = Dataplane_V1_NatRule()
        service.id = 1
        service.name = "service/web"
        service.destination.vrf = 3
        service.destination.address = IPAddress("10.96.0.1")!.octets
        service.destination.protocol = 6
        service.destination.ports = .with {
            $0.first = 80; $0.last = 80
        }
        service.destination.backends = [
            .with {
                $0.address = IPAddress("10.1.0.10")!.octets; $0.port = 8080; $0.vrf = 3
            },
            .with {
                $0.address = IPAddress("10.1.0.11")!.octets; $0.port = 8080; $0.vrf = 3; $0.draining = true
            },
        ]
        source.id = 2
        source.name = "router/out"
        source.source.vrf = 3
        source.source.prefix = .with {
            $0.address = IPAddress("10.1.0.0")!.octets; $0.length = 24
        }
        source.source.outsideVrf = 4
        source.source.address = IPAddress("203.0.113.1")!.octets
        source.source.ports = .with {
            $0.first = 1024; $0.last = 2047
        }
        return FakeRouter([.natRule(service), .natRule(source)])
    }

    @Test func list() async throws {
        let done = await run(["vrctl", "nat", "list"], router: router())
        #expect(
            done.output == """
                ID   NAME          VRF   WHAT                  BECOMES
                1    service/web   3     to 10.96.0.1 tcp 80   2 backends, 1 of them draining
                2    router/out    3     from 10.1.0.0/24      203.0.113.1 ports 1024-2047 vrf 4

                """)
        let none = await run(["vrctl", "nat", "list", "--vrf", "9", "-o", "json"], router: router())
        #expect(none.output.contains("\"rules\"") && !none.output.contains("service"))
    }

    @Test func get() async throws {
        let done = await run(["vrctl", "nat", "get", "1"], router: router())
        #expect(
            done.output == """
                NAT rule 1 service/web
                  what      to 10.96.0.1 tcp 80 in vrf 3
                  affinity  connection
                  backend   10.1.0.10 port 8080 vrf 3
                  backend   10.1.0.11 port 8080 vrf 3 (draining)

                """)
        let json = await run(["vrctl", "nat", "get", "2", "-o", "json"], router: router())
        #expect(json.output.contains("\"outsideVRF\": 4") && json.output.contains("\"last\": 2047"))
        let missing = await run(["vrctl", "nat", "get", "7"], router: router())
        #expect(missing.errors.contains("no NAT rule 7"))
    }

    @Test func usage() async throws {
        func back(
            _ index: UInt32, _ source: String, _ sourcePort: UInt32, _ port: UInt32, proto: UInt32 = 17, vrf: UInt32 = 4,
            to address: String = "203.0.113.1"
        ) -> API.Object.OneOf_Object {
            var entry = flow(index, index + 1, source, sourcePort, address, port, proto: proto, vrf: vrf, forward: false)
            entry.action = .nat
            return .flow(entry)
        }
        let objects: [API.Object.OneOf_Object] =
            (0..<3).map { back(10 + 2 * $0, "198.51.100.9", 53, 1024 + $0) } + [
                // The same port towards others; an echo.
                back(30, "198.51.100.8", 53, 1024), back(32, "198.51.100.8", 7, 1030, proto: 1),
                // Another router's port, another VRF's, and the direction that goes out.
                back(34, "198.51.100.9", 53, 2048), back(36, "198.51.100.9", 53, 1025, vrf: 3),
                .flow(flow(38, 39, "203.0.113.1", 1024, "198.51.100.9", 53, proto: 17, vrf: 4)),
            ]
        let router = FakeRouter(router().objects + objects)
        let done = await run(["vrctl", "nat", "usage"], router: router)
        #expect(
            done.output == """
                ADDRESS       VRF   PORTS       FLOWS   USED   FREE   BUSIEST END           USED THERE   FREE THERE
                203.0.113.1   4     1024-2047   5       4      1020   udp 198.51.100.9 53   3            1021

                Packets dropped because all ports were in use: 0

                """)
        let json = await run(["vrctl", "nat", "usage", "-o", "json"], router: router)
        #expect(json.output.contains("\"free\": 1020") && json.output.contains("\"exhausted\": 0"))
    }
}
