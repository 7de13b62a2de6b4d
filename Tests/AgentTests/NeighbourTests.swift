import NetTypes
import Testing

@testable import Agent

private let ours = MACAddress("02:00:00:00:00:11")!, theirs = MACAddress("02:00:00:00:00:12")!
private let us = IPv4Address(10, 0, 0, 11), peer = IPv4Address(10, 0, 0, 12), gateway = IPv4Address(10, 0, 0, 1), far = IPv4Address(192, 0, 2, 7)

@Suite struct ARPTests {
    /// RFC 826, the example packet: octet by octet, by hand.
    static let request: [UInt8] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02, 0x00, 0x00, 0x00, 0x00, 0x11, 0x08, 0x06,
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
        0x02, 0x00, 0x00, 0x00, 0x00, 0x11, 10, 0, 0, 11,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 10, 0, 0, 12,
    ]
    static let reply: [UInt8] = [
        0x02, 0x00, 0x00, 0x00, 0x00, 0x11, 0x02, 0x00, 0x00, 0x00, 0x00, 0x12, 0x08, 0x06,
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02,
        0x02, 0x00, 0x00, 0x00, 0x00, 0x12, 10, 0, 0, 12,
        0x02, 0x00, 0x00, 0x00, 0x00, 0x11, 10, 0, 0, 11,
    ]

    @Test func builds() {
        let frame = ARPPacket.request(for: peer, from: us, mac: ours).frame
        #expect(frame.count == 60)
        #expect(Array(frame.prefix(42)) == Self.request)
        #expect(frame.dropFirst(42).allSatisfy { $0 == 0 })
    }

    @Test func parses() throws {
        let packet = try #require(ARPPacket(frame: Self.reply + [0, 0, 0]))
        #expect(packet.operation == .reply && packet.senderMAC == theirs && packet.senderAddress == peer)
        #expect(packet.targetMAC == ours && packet.targetAddress == us && packet.destination == ours && packet.source == theirs)
        // The sender is who the packet says, not who the frame came from.
        var relayed = Self.reply
        relayed[11] = 0x77
        #expect(ARPPacket(frame: relayed)?.senderMAC == theirs && ARPPacket(frame: relayed)?.source != theirs)
        #expect(ARPPacket(frame: Self.request) == .request(for: peer, from: us, mac: ours))
    }

    @Test func tooShort() { for count in 0..<42 { #expect(ARPPacket(frame: Array(Self.reply.prefix(count))) == nil) } }

    /// One octet of the fixed part wrong: no ARP for IPv4 over Ethernet.
    @Test(arguments: 12..<22) func malformed(_ index: Int) {
        var frame = Self.reply
        frame[index] ^= 0x40
        #expect(ARPPacket(frame: frame) == nil)
    }

    @Test func anyOctets() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let frame = (0..<Int.random(in: 0...64, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            _ = ARPPacket(frame: frame)?.frame
        }
    }
}

@Suite struct NeighbourResolverTests {
    func resolver() -> NeighbourResolver { NeighbourResolver(address: us, subnet: IPPrefix("10.0.0.0/24")!, gateway: gateway, mac: ours) }
    func reply(from address: IPv4Address, _ mac: MACAddress = theirs) -> ARPPacket {
        ARPPacket(destination: ours, source: mac, operation: .reply, senderMAC: mac, senderAddress: address, targetMAC: ours, targetAddress: us)
    }

    @Test func whoIsWatchedIsKnownToBeGoneSoon() {
        var resolver = resolver()
        resolver.want([peer], now: .zero)
        _ = resolver.poll(now: .zero)
        #expect(resolver.received(reply(from: peer), now: .zero) && resolver.nextDue == .seconds(60))
        // Watched from now on: asked again at once, as it were.
        resolver.want([peer], watching: [peer], now: .seconds(1))
        #expect(resolver.nextDue == .seconds(6))
        for second in 6...8 {
            #expect(resolver.poll(now: .seconds(second)).count == 1)
            #expect(!resolver.isSilent(peer))
        }
        #expect(resolver.poll(now: .seconds(9)).count == 1 && resolver.isSilent(peer) && resolver.silent == [peer])
        // What is sent there still goes to its MAC; one word of it, and it is back.
        #expect(resolver.mac(of: peer) == theirs)
        #expect(!resolver.received(reply(from: peer), now: .seconds(20)) && !resolver.isSilent(peer) && resolver.nextDue == .seconds(25))
        // An endpoint behind the gateway is as well as that is.
        resolver.want([far], watching: [far], now: .seconds(30))
        _ = resolver.poll(now: .seconds(30))
        _ = resolver.received(reply(from: gateway), now: .seconds(30))
        for second in 35...38 { _ = resolver.poll(now: .seconds(second)) }
        #expect(resolver.isSilent(far) && !resolver.isSilent(peer))
    }

    @Test func retriesThenSlowsDown() {
        var resolver = resolver()
        resolver.want([peer], now: .zero)
        var sent: [Int] = []
        for tenth in 0..<300 where !resolver.poll(now: .milliseconds(tenth * 100)).isEmpty { sent.append(tenth) }
        // At 0, three repeats a second apart, then every five seconds.
        #expect(sent == [0, 10, 20, 30, 80, 130, 180, 230, 280])
        #expect(resolver.mac(of: peer) == nil)
    }

    @Test func refreshesByUnicastThenBroadcast() {
        var resolver = resolver()
        resolver.want([peer], now: .zero)
        #expect(resolver.poll(now: .zero).map(\.destination) == [.broadcast])
        let change1 = resolver.received(reply(from: peer), now: .seconds(1))
        #expect(change1)
        #expect(resolver.mac(of: peer) == theirs)
        #expect(resolver.nextDue == .seconds(61))
        #expect(resolver.poll(now: .seconds(60)).isEmpty)
        #expect(resolver.poll(now: .seconds(61)).map(\.destination) == [theirs])
        #expect(resolver.poll(now: .seconds(62)).map(\.destination) == [.broadcast])
        // Silent, but known: better than a hole.
        #expect(resolver.mac(of: peer) == theirs)
        let change2 = resolver.received(reply(from: peer), now: .seconds(63))
        #expect(!change2)
        #expect(resolver.neighbours[peer]?.state == .reachable(theirs))
    }

    @Test func offLinkGoesThroughTheGateway() {
        var resolver = resolver()
        resolver.want([far], now: .zero)
        #expect(resolver.poll(now: .zero).map(\.targetAddress) == [gateway])
        let change3 = resolver.received(reply(from: gateway), now: .zero)
        #expect(change3)
        #expect(resolver.mac(of: far) == theirs)
        #expect(resolver.mac(of: peer) == nil)
    }

    @Test func offLinkWithoutGatewayIsNeverResolved() {
        var resolver = NeighbourResolver(address: us, subnet: IPPrefix("10.0.0.0/24")!, gateway: nil, mac: ours)
        resolver.want([far], now: .zero)
        #expect(resolver.poll(now: .zero).isEmpty && resolver.nextDue == nil && resolver.mac(of: far) == nil)
    }

    @Test func learnsFromRequestsOfWantedPeersOnly() {
        var resolver = resolver()
        resolver.want([peer], now: .zero)
        var request = ARPPacket.request(for: us, from: peer, mac: theirs)
        let change4 = resolver.received(request, now: .zero)
        #expect(change4)
        #expect(resolver.mac(of: peer) == theirs)
        request = ARPPacket.request(for: us, from: IPv4Address(10, 0, 0, 99), mac: theirs)
        let change5 = resolver.received(request, now: .zero)
        #expect(!change5)
        #expect(resolver.neighbours.count == 1)
    }

    @Test(arguments: [MACAddress.zero, .broadcast, MACAddress("01:00:5e:00:00:01")!, ours]) func refusesSenders(_ mac: MACAddress) {
        var resolver = resolver()
        resolver.want([peer], now: .zero)
        let change6 = resolver.received(reply(from: peer, mac), now: .zero)
        #expect(!change6)
        #expect(resolver.mac(of: peer) == nil)
    }

    @Test func aMovedNeighbourIsAChange() {
        var resolver = resolver()
        resolver.want([peer], now: .zero)
        let change7 = resolver.received(reply(from: peer), now: .zero)
        #expect(change7)
        let change8 = resolver.received(reply(from: peer, MACAddress("02:00:00:00:00:99")!), now: .zero)
        #expect(change8)
        #expect(resolver.mac(of: peer) == MACAddress("02:00:00:00:00:99"))
    }

    @Test func recoversWhatTheDataPlaneUses() {
        var resolver = resolver()
        resolver.recover(peer, mac: theirs, now: .zero)
        #expect(resolver.mac(of: peer) == theirs)
        #expect(resolver.poll(now: .zero).map(\.destination) == [theirs])
        resolver.want([], now: .zero)
        #expect(resolver.neighbours.isEmpty)
    }
}
