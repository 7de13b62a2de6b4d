import NetTypes
import Overlay
import Testing

@testable import Agent

@Suite struct DHCPv4Tests {
    private func answer(_ frame: [UInt8], _ port: ServicePort = ServiceFixture.port()) throws -> (frame: [UInt8]?, outcome: DHCPv4Server.Outcome) {
        let (reply, outcome) = DHCPv4Server.answer(try ServiceFixture.packet(frame), for: port)
        return (reply?.frame, outcome)
    }

    /// What a client sends, and the answer as scapy builds it.
    @Test func conversation() throws {
        let address = IPv4Address(10, 1, 0, 11)
        let steps: [([UInt8], [UInt8]?, DHCPv4Server.Outcome)] = [
            (GoldenServices.discover, GoldenServices.offer, .offered(address)),
            (GoldenServices.discoverBroadcast, GoldenServices.offerBroadcast, .offered(address)),
            (GoldenServices.discoverRapid, GoldenServices.ackRapid, .acknowledged(address)),
            (GoldenServices.select, GoldenServices.ack, .acknowledged(address)),
            (GoldenServices.reboot, GoldenServices.ackReboot, .acknowledged(address)),
            (GoldenServices.renew, GoldenServices.ackRenew, .acknowledged(address)),
            (GoldenServices.inform, GoldenServices.ackInform, .informed),
            (GoldenServices.rebootElsewhere, GoldenServices.nak, .refused("10.9.0.5 is not the port's address")),
            (GoldenServices.selectOther, nil, .ignored("it chose another server")),
            (GoldenServices.release, nil, .released),
            (GoldenServices.decline, nil, .declined),
            (GoldenServices.discoverStranger, nil, .ignored("it is for 02:00:00:00:01:99, which is not the port's MAC address")),
            (GoldenServices.discoverRelayed, nil, .ignored("it came through a relay")),
        ]
        for (request, reply, outcome) in steps {
            let (frame, found) = try answer(request)
            #expect(found == outcome)
            #expect(frame == reply, "\(outcome)")
        }
    }

    @Test func withoutAnIPv4AddressThereIsNoAnswer() throws {
        #expect(try answer(GoldenServices.discover, ServiceFixture.port { $0.addresses.removeFirst() }).frame == nil)
    }

    @Test func optionsFollowTheNetwork() throws {
        func options(_ frame: [UInt8], _ change: (inout ServicePort) -> Void) throws -> [UInt8: [UInt8]] {
            let (reply, _) = DHCPv4Server.answer(try ServiceFixture.packet(frame), for: ServiceFixture.port(change))
            guard case .udp(_, _, let payload)? = reply?.content else { return [:] }
            return Dictionary(uniqueKeysWithValues: try #require(DHCPv4Message(payload)).options.map { ($0.code, $0.octets) })
        }
        let plain = try options(GoldenServices.discover) {
            $0.network.dhcp = NetworkServices(); $0.mtu = nil
        }
        #expect(plain[51] == [0, 1, 0x51, 0x80] && plain[121] == nil && plain[26] == nil && plain[42] == nil && plain[6] == [10, 1, 0, 1])
        let none = try options(GoldenServices.discover) { $0.network.dhcp.dnsServers = [] }
        #expect(none[6] == nil)
        let others = try options(GoldenServices.discover) { $0.network.dhcp.dnsServers = [IPAddress("fd00::1")!, IPAddress("192.0.2.53")!] }
        #expect(others[6] == [192, 0, 2, 53])
        let forever = try options(GoldenServices.discover) { $0.network.dhcp.leaseSeconds = .max }
        #expect(forever[51] == [255, 255, 255, 255] && forever[58] == nil && forever[59] == nil)
        let point = try options(GoldenServices.discover) {
            $0.network.subnets = [.init(prefix: IPPrefix("10.1.0.10/31")!)]
        }
        #expect(point[1] == [255, 255, 255, 254] && point[28] == nil && point[3] == [10, 1, 0, 10])
        // A default route of the operator's own stands alone.
        let routed = try options(GoldenServices.discover) {
            $0.network.dhcp.hostRoutes = [.init(prefix: IPPrefix("0.0.0.0/0")!, nextHop: IPAddress("10.1.0.7")!)]
        }
        #expect(routed[121] == [0, 10, 1, 0, 7])
    }

    /// RFC 3442's own examples of destination descriptors, with 10.1.0.1 as their router.
    @Test func classlessRoutesAreAsInTheRFC() throws {
        let prefixes = ["10.0.0.0/8", "10.0.0.0/24", "10.17.0.0/16", "10.27.129.0/24", "10.229.0.128/25", "10.198.122.47/32"]
        let expected: [[UInt8]] = [[8, 10], [24, 10, 0, 0], [16, 10, 17], [24, 10, 27, 129], [25, 10, 229, 0, 128], [32, 10, 198, 122, 47]]
        let port = ServiceFixture.port {
            $0.network.dhcp.hostRoutes = prefixes.map { .init(prefix: IPPrefix($0)!, nextHop: IPAddress("10.1.0.1")!) }
        }
        let (reply, _) = DHCPv4Server.answer(try ServiceFixture.packet(GoldenServices.discover), for: port)
        guard case .udp(_, _, let payload)? = reply?.content else { Issue.record("no reply"); return }
        #expect(DHCPv4Message(payload)?[121] == expected.flatMap { $0 + [10, 1, 0, 1] } + [0, 10, 1, 0, 1])
    }

    @Test func optionsInSnameAndFileAreRead() throws {
        var octets = DHCPv4Message(hardware: ServiceFixture.mac).octets(limit: 576)
        octets.replaceSubrange(240..., with: [52, 1, 3, 255])
        octets.replaceSubrange(108..<112, with: [53, 1, 1, 255])
        octets.replaceSubrange(44..<50, with: [12, 1, 0x61, 12, 1, 0x62])
        octets[50] = 255
        let message = try #require(DHCPv4Message(octets))
        #expect(message.kind == .discover && message[12] == Array("ab".utf8))
    }

    @Test func longOptionsAreSplitAndJoined() throws {
        var message = DHCPv4Message(hardware: ServiceFixture.mac)
        message.options = [.init(code: 121, octets: (0..<600).map { UInt8($0 & 0xFF) }), .init(code: 12, octets: [1])]
        let whole = message.octets(limit: 1472)
        #expect(DHCPv4Message(whole)?.options == message.options)
        // What has no room is left out; what comes after it and has, is not.
        #expect(DHCPv4Message(message.octets(limit: 548))?.options == [message.options[1]])
    }

    /// Every truncation and many changes of a request: an answer or none, never a trap.
    @Test func hostileRequests() throws {
        var random = SystemRandomNumberGenerator()
        let port = ServiceFixture.port()
        for golden in [GoldenServices.discover, GoldenServices.select, GoldenServices.inform] {
            for length in 0..<golden.count { #expect(ServicePacket(frame: Array(golden.prefix(length))) == nil || length >= 60) }
            guard case .udp(_, _, let payload) = try ServiceFixture.packet(golden).content else { continue }
            for _ in 0..<3000 {
                var changed = payload
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                if Bool.random(using: &random) { changed.removeLast(Int.random(in: 0..<changed.count, using: &random)) }
                var packet = try ServiceFixture.packet(golden)
                packet.content = .udp(source: 68, destination: 67, payload: changed)
                _ = DHCPv4Server.answer(packet, for: port).reply?.frame
                var frame = golden
                frame[Int.random(in: 0..<frame.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                _ = ServicePacket(frame: frame)
            }
        }
    }

    @Test func labelsOfNames() {
        #expect(ServicePort.label("Blue_1.x:y") == "blue-1-x-y" && ServicePort.label("_-_") == "x")
        #expect(ServicePort.label(String(repeating: "a", count: 62) + "-b").count == 62)
        #expect(ServiceFixture.port().zone == "blue.vrouter.local")
    }
}
