import NetTypes
import Overlay
import Testing

@testable import Agent

/// Questions made to make the answer wrong: too long, for somebody else, of another name.
@Suite struct HostileServiceTests {
    private func message(_ packet: ServicePacket?) throws -> [UInt8] {
        guard case .udp(_, _, let payload)? = packet?.content else { throw NoDatagram() }
        return payload
    }
    private struct NoDatagram: Error {}

    // MARK: Whom to answer

    @Test func groupsAskNothing() throws {
        let whole = try ServiceFixture.packet(GoldenServices.routerSolicitation)
        for change: (inout ServicePacket) -> Void in [
            { $0.source = IPAddress("ff02::1")! }, { $0.sourceMAC = MACAddress("33:33:00:00:00:01")! },
            {
                $0.source = IPAddress("255.255.255.255")!; $0.content = .udp(source: 68, destination: 67, payload: [1])
            },
        ] {
            var packet = whole
            change(&packet)
            #expect(ServicePacket(frame: packet.frame) == nil, "\(packet)")
        }
        #expect(ServicePacket(frame: whole.frame) != nil)
    }

    @Test func anAnswerGoesToNoGroup() throws {
        var renewal = try ServiceFixture.packet(GoldenServices.renew)
        var asked = try #require(DHCPv4Message(try message(renewal)))
        asked.clientAddress = IPv4Address(224, 0, 0, 1)
        asked.options.append(.init(code: DHCPv4Message.Code.requestedAddress, octets: [10, 1, 0, 11]))
        renewal.content = .udp(source: 68, destination: 67, payload: asked.octets(limit: 1000))
        let (reply, outcome) = DHCPv4Server.answer(renewal, for: ServiceFixture.port())
        #expect(outcome == .acknowledged(IPv4Address(10, 1, 0, 11)) && reply?.destination == IPAddress("10.1.0.11")!)
    }

    // MARK: How much

    /// RFC 2132 section 9.10: the option has two octets.
    @Test(arguments: [([4, 0], 1024), ([1, 4, 0], 576), ([], 576), ([255, 255], 1500)] as [([UInt8], Int)])
    func sizesThatClientsTake(_ size: [UInt8], _ most: Int) throws {
        var discovery = try ServiceFixture.packet(GoldenServices.discover)
        var asked = DHCPv4Message(hardware: ServiceFixture.mac)
        asked.options = [.init(code: 53, octets: [1]), .init(code: 57, octets: size), .init(code: 61, octets: [UInt8](repeating: 1, count: 200))]
        discovery.content = .udp(source: 68, destination: 67, payload: asked.octets(limit: 1000))
        let port = ServiceFixture.port {
            $0.mtu = 1500
            $0.network.dhcp.hostRoutes = (0..<100).map { .init(prefix: IPPrefix("172.16.\($0).0/24")!, nextHop: IPAddress("10.1.0.9")!) }
            $0.network.dhcp.domain = Array(repeating: String(repeating: "d", count: 60), count: 3).joined(separator: ".")
        }
        let size = try message(DHCPv4Server.answer(discovery, for: port).reply).count + 28
        // As much as finds room: the routes do where 1024 octets are taken.
        #expect(size <= most && (most == 576 || size > 576))
    }

    @Test func anAnswerOfDHCPv6IsOnePacket() throws {
        var solicit = try ServiceFixture.packet(GoldenServices.solicit)
        var asked = try #require(DHCPv6Message(try message(solicit)))
        asked.options += (0..<60).map { DHCPv6Message.Option(DHCPv6Message.Code.temporary, words: [$0]) }
        solicit.content = .udp(source: 546, destination: 547, payload: asked.octets)
        let (reply, outcome) = DHCPv6Server.answer(solicit, for: ServiceFixture.port())
        let answer = try #require(DHCPv6Message(try message(reply)))
        #expect(outcome == .offered(IPv6Address("fd00:1::11")!) && answer.octets.count <= 1450 - 48 && answer.octets.count > 1300)
        // What was asked for comes all the same.
        #expect(answer[DHCPv6Message.Code.dnsServers] != nil && answer[DHCPv6Message.Code.preference] == [255])
    }

    /// RFC 8415 section 11.1.
    @Test(arguments: [(130, true), (131, false)]) func identifiers(_ size: Int, _ isAnswered: Bool) throws {
        var solicit = try ServiceFixture.packet(GoldenServices.solicit)
        var asked = try #require(DHCPv6Message(try message(solicit)))
        asked.options.removeAll { $0.code == DHCPv6Message.Code.clientIdentifier }
        asked.options.append(.init(DHCPv6Message.Code.clientIdentifier, [UInt8](repeating: 1, count: size)))
        solicit.content = .udp(source: 546, destination: 547, payload: asked.octets)
        #expect((DHCPv6Server.answer(solicit, for: ServiceFixture.port()).reply != nil) == isAnswered)
    }

    // MARK: What for

    private static let header = hex("1234 0100 0001 0000 0000 0000")

    @Test func namesAreNotInTheHeader() {
        // Its flags would be a label of one octet, and are others in the answer.
        #expect(DNSMessage(Self.header + hex("c002 0001 0001")) == nil)
        #expect(DNSMessage(Self.header + hex("0161 00 0001 0001")) != nil)
        // A row of pointers, and one more than a name has labels.
        for (count, isRead) in [(127, true), (128, false)] {
            var octets = Self.header + hex("00")
            for number in 0..<count { octets.append(word16: UInt16(0xC000 + (number == 0 ? 12 : 13 + 2 * (number - 1)))) }
            var reader = WireReader(octets, octets.count - 2..<octets.count)
            #expect((DNSName.read(&reader) != nil) == isRead)
        }
    }

    /// Another operation; two questions.
    @Test(arguments: [[2: 0x91], [5: 2, 3: 0x82], [5: 0, 3: 0x80]] as [[Int: UInt8]]) func whatAnswersNothing(_ changes: [Int: UInt8]) {
        var answer = GoldenServices.response, query = GoldenServices.queryPlain
        query.replaceSubrange(0..<2, with: answer[0..<2])
        #expect(DNSMessage(answer, answering: query) != nil)
        for (at, octet) in changes { answer[at] = octet }
        #expect(DNSMessage(answer, answering: query) == nil)
    }

    @Test(arguments: [
        ("06 6e616d65732e 00", "a label with a dot in it"), ("02 2b31 01 30 01 31 02 3130 07696e2d61646472 0461727061 00", "+1.0.1.10.in-addr.arpa"),
        ("02 3031 01 30 01 31 02 3130 07696e2d61646472 0461727061 00", "01.0.1.10.in-addr.arpa"),
    ]) func namesThatOnlyLookLikeOurs(_ name: String, _ what: String) throws {
        let zone = DNSZone(network: ServiceFixture.port().network, ports: [("names", [IPAddress("10.1.0.11")!])])
        let question = try #require(DNSMessage(Self.header + hex(name) + hex("00ff 0001"))?.question)
        #expect(zone.answer(question) == nil, "\(what)")
    }
}
