import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Dataplane_V1_Result {
    init(_ outcome: RouterOutcome) {
        self.init()
        switch outcome {
        case .ok: code = .ok
        case .invalid(let text): (code, message) = (.invalid, text)
        case .notFound(let text): (code, message) = (.notFound, text)
        case .inUse(let text): (code, message) = (.inUse, text)
        case .tableFull(let text): (code, message) = (.tableFull, text)
        case .portFailed(let text): (code, message) = (.portFailed, text)
        case .unsupported(let text): (code, message) = (.unsupported, text)
        }
    }
}

extension Dataplane_V1_Counters {
    init(_ counters: RouterCounters) {
        self.init()
        received = counters.received
        forwarded = counters.forwarded
        dropped = counters.dropped
        trapped = counters.trapped
        consumed = counters.consumed
        generated = counters.generated
    }
}

extension Dataplane_V1_GetStatusResponse {
    init(_ status: RouterStatus, version: String, instance: String) {
        self.init()
        self.version = version
        self.instance = instance
        uptimeNs = status.uptimeNanoseconds
        totals = Dataplane_V1_Counters(status.totals)
        workers = status.workers.map { worker in
            .with {
                $0.id = UInt32(clamping: worker.id)
                $0.core = worker.core.map { Int32(clamping: $0) } ?? -1
                $0.counters = Dataplane_V1_Counters(worker.counters)
                $0.polls = worker.polls
                $0.idlePolls = worker.idlePolls
                $0.sleeps = worker.sleeps
                $0.busyCycles = worker.busyCycles
                $0.bursts = worker.bursts
                $0.drops = worker.drops.map { Dataplane_V1_DropCounter($0.reason, $0.packets) }
                $0.spread = worker.spread
                $0.handedOver = worker.counters.handedOver
                $0.takenOver = worker.counters.takenOver
                $0.pinError = worker.pinError ?? ""
                $0.queues = worker.queues.map(Dataplane_V1_ReceiveQueue.init)
            }
        }
        drops = status.drops.map { drop in
            Dataplane_V1_DropCounter(drop.reason, drop.packets)
        }
        macLearning = .with {
            $0.learned = status.learning.learned
            $0.moved = status.learning.moved
            $0.aged = status.learning.aged
            $0.overLimit = status.learning.overLimit
            $0.tableFull = status.learning.tableFull
            $0.withoutNextHop = status.learning.withoutNextHop
            $0.lost = status.learning.lost
        }
        flows = Dataplane_V1_FlowStatistics(status.flows)
        rebalancing = .with {
            $0.intervalS = UInt32(clamping: status.rebalance.policy?.interval ?? 0)
            $0.moves = status.rebalance.moves
            $0.latest = status.rebalance.latest.map { move in
                .with {
                    $0.port = move.port
                    $0.queue = UInt32(clamping: move.queue)
                    $0.fromWorker = UInt32(clamping: move.from)
                    $0.toWorker = UInt32(clamping: move.to)
                    $0.uptimeNs = move.uptimeNanoseconds
                }
            }
        }
        tables = status.tables.map { table in
            .with {
                $0.name = table.name
                $0.used = UInt64(clamping: table.used)
                $0.capacity = UInt64(clamping: table.capacity)
                $0.memoryBytes = UInt64(clamping: table.memoryBytes)
            }
        }
        buffersInUse = UInt64(clamping: status.buffersInUse)
        buffersCapacity = UInt64(clamping: status.buffersCapacity)
        tscHz = status.tscHz
    }
}

extension Dataplane_V1_ReceiveQueue {
    init(_ reading: QueueReading) {
        self.init()
        port = reading.port
        queue = UInt32(clamping: reading.queue)
        packets = reading.packets
        cycles = reading.cycles
        isSpread = reading.isSpread
        isFixed = reading.isFixed
    }
}

extension Dataplane_V1_DropCounter {
    init(_ reason: DropReason, _ count: UInt64) {
        self.init()
        name = reason.name
        label = reason.label
        description_p = reason.explanation
        packets = count
    }
}

extension Dataplane_V1_Trap {
    init(_ trap: TrapPacket, lost: UInt64) {
        self.init()
        reason =
            switch trap.reason {
            case .arp: .arp
            case .resolve: .resolve
            case .l3Protocol: .l3Protocol
            case .receive: .receive
            case .neighbour: .neighbour
            case .dhcp: .dhcp
            case .dhcpv6: .dhcpv6
            case .routerSolicitation: .routerSolicitation
            case .dns: .dns
            case .flow: .flow
            }
        vif = trap.vif.rawValue
        vrf = trap.vrf.rawValue
        nextHop = trap.nextHop.rawValue
        packet = Data(trap.packet)
        if let flow = trap.flow {
            flowKey = Dataplane_V1_FlowKey(flow.key)
            flowIndex = flow.index
        }
        self.lost = lost
    }
}

extension OutgoingPacket {
    /// Octets of the largest frame: an IP packet with Ethernet header and two VLAN tags.
    static let maximumLength = 65_535 + 14 + 8

    init(_ message: Dataplane_V1_PacketOut) throws(FieldError) {
        let reader = FieldReader(path: "packet_out")
        let mode: Mode =
            switch message.mode {
            case .transmit: .transmit
            case .receive: .receive
            case .unspecified: throw reader.error("mode", "", "missing: TRANSMIT or RECEIVE")
            case .UNRECOGNIZED(let number): throw reader.error("mode", number, "no such mode")
            }
        guard message.packet.count >= 14 else {
            throw reader.error("packet", "\(message.packet.count) octets", "is shorter than an Ethernet header")
        }
        guard message.packet.count <= Self.maximumLength else {
            throw reader.error("packet", "\(message.packet.count) octets", "is longer than \(Self.maximumLength)")
        }
        self.init(mode: mode, vif: VifID(message.vif), packet: Array(message.packet))
    }
}
