import NetTypes
import Overlay
import Testing

@testable import Agent

@Suite struct DHCPv6Tests {
    @Test func conversation() throws {
        let address = IPv6Address("fd00:1::11")!
        let steps: [([UInt8], [UInt8]?, DHCPv6Server.Outcome)] = [
            (GoldenServices.solicit, GoldenServices.advertise, .offered(address)),
            (GoldenServices.solicitRapid, GoldenServices.replyRapid, .acknowledged(address)),
            (GoldenServices.request6, GoldenServices.reply6, .acknowledged(address)),
            (GoldenServices.renew6, GoldenServices.replyRenew6, .acknowledged(address)),
            (GoldenServices.rebindTwo, GoldenServices.replyTwo, .acknowledged(address)),
            (GoldenServices.confirm, GoldenServices.replyConfirm, .informed),
            (GoldenServices.confirmElsewhere, GoldenServices.replyElsewhere, .refused("fd00:9::77 is not on the link")),
            (GoldenServices.information, GoldenServices.replyInformation, .informed),
            (GoldenServices.release6, GoldenServices.replyRelease, .released),
            (GoldenServices.requestOther6, nil, .ignored("it is for another server")),
            (GoldenServices.solicitStranger, nil, .ignored("it comes from 02:00:00:00:01:99, which is not the port's MAC address")),
        ]
        for (request, reply, outcome) in steps {
            let (packet, found) = DHCPv6Server.answer(try ServiceFixture.packet(request), for: ServiceFixture.port())
            #expect(found == outcome)
            #expect(packet?.frame == reply, "\(outcome)")
        }
    }

    @Test func everyAssociationGetsAnAddressOfItsOwn() throws {
        let port = ServiceFixture.port { $0.addresses.append(IPAddress("fd00:1::12")!) }
        let (packet, _) = DHCPv6Server.answer(try ServiceFixture.packet(GoldenServices.rebindTwo), for: port)
        guard case .udp(_, _, let payload)? = packet?.content else { Issue.record("no reply"); return }
        let addresses = try #require(DHCPv6Message(payload)).options.filter { $0.code == 3 }.map { DHCPv6Message.Association($0.octets)?.addresses }
        #expect(addresses == [[IPv6Address("fd00:1::11")!], [IPv6Address("fd00:1::12")!]])
    }

    @Test func aPortWithoutIPv6IsNotAnswered() throws {
        let port = ServiceFixture.port { $0.addresses.removeLast() }
        #expect(DHCPv6Server.answer(try ServiceFixture.packet(GoldenServices.solicit), for: port).reply == nil)
        #expect(RouterAdvertiser.advertisement(for: port) == nil)
    }

    @Test func hostileRequests() throws {
        var random = SystemRandomNumberGenerator()
        let port = ServiceFixture.port()
        for golden in [GoldenServices.solicit, GoldenServices.request6, GoldenServices.rebindTwo] {
            var packet = try ServiceFixture.packet(golden)
            guard case .udp(_, _, let payload) = packet.content else { continue }
            for round in 0..<3000 {
                var changed = payload
                if round < payload.count { changed.removeLast(round) }
                for _ in 0..<Int.random(in: 0...4, using: &random) where !changed.isEmpty {
                    changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
                packet.content = .udp(source: 546, destination: 547, payload: changed)
                _ = DHCPv6Server.answer(packet, for: port).reply?.frame
            }
        }
    }

    // MARK: - Router advertisements

    @Test func routerAdvertisements() throws {
        let port = ServiceFixture.port()
        func answer(_ frame: [UInt8]) throws -> [UInt8]? {
            RouterAdvertiser.advertisement(for: port, solicitation: try ServiceFixture.packet(frame))?.frame
        }
        #expect(try answer(GoldenServices.routerSolicitation) == GoldenServices.advertisement)
        #expect(try answer(GoldenServices.solicitationUnspecified) == GoldenServices.advertisementToAll)
        #expect(RouterAdvertiser.advertisement(for: port)?.frame == GoldenServices.advertisementToAll)
        // From beyond a router.
        #expect(try answer(GoldenServices.solicitationRouted) == nil)
        #expect(RouterAdvertiser.advertisement(for: ServiceFixture.port { $0.network.dhcp.enabled = false }) == nil)
    }

    @Test func hostileSolicitations() throws {
        var random = SystemRandomNumberGenerator()
        var packet = try ServiceFixture.packet(GoldenServices.routerSolicitation)
        guard case .icmpv6(let message) = packet.content else { return }
        for _ in 0..<3000 {
            var changed = message
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                changed[Int.random(in: 0..<changed.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            changed.removeLast(Int.random(in: 0...(changed.count - 8), using: &random))
            packet.content = .icmpv6(changed)
            _ = RouterAdvertiser.advertisement(for: ServiceFixture.port(), solicitation: packet)?.frame
        }
    }
}
