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

/// What the router holds → message → the same; through the octets of the wire, so that presence and defaults are tested too.
@Suite struct MappingTests {
    static func message(_ object: RouterObject) -> Dataplane_V1_Object {
        .with {
            switch object {
            case .port(let spec): $0.port = .init(spec)
            case .vif(let spec): $0.vif = .init(spec)
            case .vrf(let spec): $0.vrf = .init(spec)
            case .nextHop(let spec): $0.nextHop = .init(spec)
            case .route(let spec): $0.route = .init(spec)
            case .bridgeEntry(let spec): $0.bridgeEntry = .init(spec)
            case .label(let spec): $0.label = .init(spec)
            case .vni(let spec): $0.vni = .init(spec)
            case .flow(let spec): $0.flow = .init(spec)
            case .forwardingClass(let spec): $0.forwardingClass = .init(spec)
            case .qosMap(let spec): $0.qosMap = .init(spec)
            case .policy(let spec): $0.policy = .init(spec)
            case .addressGroup(let spec): $0.addressGroup = .init(spec)
            case .natRule(let spec): $0.natRule = .init(spec)
            case .flowAgeing(let spec): $0.flowAgeing = .init(spec)
            case .mirror(let spec): $0.mirror = .init(MirrorReading(spec: spec, copies: 7, lost: 2))
            }
        }
    }

    @Test func offloadsOfAPort() {
        #expect(Dataplane_V1_PortOffload.list([]) == [])
        #expect(Dataplane_V1_PortOffload.list([.receiveHash, .gainsByJoining, .cutsSegments]) == [.txTcpSegmentation, .rxHash])
        #expect(
            Dataplane_V1_PortOffload.list([.unfinishedChecksums, .oversizedSegments, .cutsDatagrams, .cutsSegments])
                == [.txTcpSegmentation, .txUdpSegmentation, .rxUncutTcp, .rxUnfinishedChecksums])
    }

    @Test(arguments: sampleObjects) func everyObjectSurvivesTheWire(_ object: RouterObject) throws {
        let octets: Data = try Self.message(object).serializedData()
        let decoded = try RouterOperation(.with { $0.upsert = try Dataplane_V1_Object(serializedBytes: octets) })
        #expect(decoded == .upsert(object))
    }

    @Test(arguments: sampleObjects) func theKeyOfAMessageIsTheKeyOfTheObject(_ object: RouterObject) throws {
        let message = try #require(Self.message(object).object)
        let expected: RouterKey =
            switch object {
            case .port(let spec): .port(spec.name)
            case .vif(let spec): .vif(spec.id)
            case .vrf(let spec): .vrf(spec.id)
            case .nextHop(let spec): .nextHop(spec.id)
            case .route(let spec): .route(spec.vrf, spec.prefix)
            case .bridgeEntry(let spec): .bridgeEntry(spec.vrf, spec.mac)
            case .label(let spec): .label(spec.label)
            case .vni(let spec): .vni(spec.vni)
            case .flow(let spec): .flow(spec.key)
            case .forwardingClass(let spec): .forwardingClass(spec.id)
            case .qosMap(let spec): .qosMap(spec.id)
            case .mirror(let spec): .mirror(spec.id)
            case .policy(let spec): .policy(spec.id)
            case .addressGroup(let spec): .addressGroup(spec.id)
            case .natRule(let spec): .natRule(spec.id)
            case .flowAgeing(let spec): .flowAgeing(FlowAgeingID(proto: spec.proto, port: spec.port))
            }
        #expect(try RouterOperation(.delete(message.key)) == .delete(expected))
    }

    /// The octets of the proto file's contract, by hand: another language must be able to write them.
    @Test func octetsAreInNetworkOrder() {
        let route = Dataplane_V1_Route(RouteSpec(vrf: VRFID(1), prefix: prefix("10.1.0.0/24"), nextHop: NextHopID(5), mac: macA))
        #expect(Array(route.address) == [10, 1, 0, 0])
        #expect(route.prefixLength == 24)
        #expect(Array(route.mac) == [2, 0, 0, 0, 1, 0x0A])
        #expect(!route.hasLabel)
        #expect(Array(v6.octets) == [0xFD, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10])
    }

    @Test func absentMACsHaveTheirMeaning() throws {
        let bridged = try NextHopSpec(.with { $0.encap = .with { $0.vif = 3 } })
        #expect(bridged.kind == .encap(vif: VifID(3), destination: nil, source: .gateway))
        let tunnel = Dataplane_V1_TunnelNextHop.with {
            $0.encapsulation = .vxlan
            $0.source = v4.octets
            $0.destination = v4.octets
            $0.destinationMac = macA.octets
            $0.sourceMac = macB.octets
        }
        #expect(try NextHopSpec.Tunnel(tunnel).routerMAC == .gateway)
    }

    @Test func everyOutcomeHasItsCode() {
        let table: [(RouterOutcome, Dataplane_V1_Code, String)] = [
            (.ok, .ok, ""), (.invalid("a"), .invalid, "a"), (.notFound("b"), .notFound, "b"), (.inUse("c"), .inUse, "c"),
            (.tableFull("d"), .tableFull, "d"), (.portFailed("e"), .portFailed, "e"), (.unsupported("f"), .unsupported, "f"),
        ]
        for (outcome, code, text) in table {
            let result = Dataplane_V1_Result(outcome)
            #expect(result.code == code)
            #expect(result.message == text)
        }
    }

    @Test func everyTrapReasonHasItsNumber() {
        for reason in TrapPacket.Reason.allCases {
            let trap = Dataplane_V1_Trap(
                TrapPacket(reason: reason, vif: VifID(1), vrf: VRFID(2), nextHop: NextHopID(3), packet: [1, 2, 3]), lost: 9)
            #expect(trap.reason.rawValue == Int(reason.rawValue))
            #expect((trap.vif, trap.vrf, trap.nextHop) == (1, 2, 3))
            #expect(Array(trap.packet) == [1, 2, 3])
            #expect(trap.lost == 9)
        }
    }

    @Test func packetOut() throws {
        let frame = [UInt8](repeating: 7, count: 60)
        let packet = try OutgoingPacket(Dataplane_V1_PacketOut(.receive, vif: 5, packet: frame))
        #expect(packet.mode == .receive)
        #expect(packet.vif == VifID(5))
        #expect(packet.packet == frame)
    }
}
