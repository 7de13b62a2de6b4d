import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf

// Ageing times, filters, sums and statistics of flows.

extension FlowAgeingSpec {
    init(_ message: Dataplane_V1_FlowAgeing) throws(FieldError) {
        let reader = FieldReader(path: "upsert.flow_ageing")
        self.init(
            proto: try reader.octet(message.protocol, "protocol", most: 255), port: try reader.uint16(message.port, "port"),
            seconds: message.seconds, cookie: message.cookie)
    }
}

extension FlowAgeingID {
    init(_ message: Dataplane_V1_FlowAgeingKey) throws(FieldError) {
        let reader = FieldReader(path: "delete.flow_ageing")
        self.init(proto: try reader.octet(message.protocol, "protocol", most: 255), port: try reader.uint16(message.port, "port"))
    }
}

extension Dataplane_V1_FlowAgeing {
    init(_ spec: FlowAgeingSpec) {
        self.init()
        self.protocol = UInt32(spec.proto)
        port = UInt32(spec.port)
        seconds = spec.seconds
        cookie = spec.cookie
    }
}

extension FlowFilter {
    init(_ message: Dataplane_V1_FlowFilter) throws(FieldError) {
        self.init()
        let reader = FieldReader(path: "filter")
        guard message.endpoints.count <= 2 else { throw reader.error("endpoints", "\(message.endpoints.count) endpoints", "a flow has two") }
        for (index, end) in message.endpoints.enumerated() {
            endpoints.append(
                Endpoint(
                    address: end.address.isEmpty ? nil : try reader.address(end.address, "endpoints[\(index)].address"),
                    port: end.hasPort ? try reader.uint16(end.port, "endpoints[\(index)].port") : nil))
        }
        if message.hasVrf { vrf = VRFID(message.vrf) }
        if message.hasProtocol { proto = try reader.octet(message.protocol, "protocol", most: 255) }
        action =
            switch message.action {
            case .unspecified: nil
            case .forward: .forward
            case .drop: .drop
            case .nat: .nat
            case .hold: .hold
            case .UNRECOGNIZED(let number): throw reader.error("action", number, "no such action")
            }
        if !message.dropReason.isEmpty {
            guard let reason = FlowDropReason.allCases.first(where: { $0.label.lowercased() == message.dropReason.lowercased() }) else {
                let known = FlowDropReason.allCases.map(\.label).joined(separator: ", ")
                throw reader.error("drop_reason", message.dropReason.prefix(32).debugDescription, "is none of \(known)")
            }
            dropReason = reason
        }
        if message.hasVif { vif = VifID(message.vif) }
        forwardOnly = message.forwardOnly
        showsEvicted = message.evicted
    }
}

extension FlowAction {
    /// In sums.
    var name: String {
        switch self {
        case .forward: "forward"
        case .drop: "drop"
        case .nat: "nat"
        case .hold: "hold"
        }
    }
}

extension Dataplane_V1_FlowSummary {
    mutating func add(_ flow: FlowReading) {
        entries &+= 1
        if flow.isForward { forwardEntries &+= 1 }
        packets &+= flow.packets
        bytes &+= flow.bytes
        byAction[flow.spec.action.name, default: 0] &+= 1
        if let reason = flow.dropReason { byDropReason[reason.label, default: 0] &+= 1 }
        byProtocol[UInt32(flow.spec.key.proto), default: 0] &+= 1
        byVrf[flow.spec.key.vrf.rawValue, default: 0] &+= 1
        if flow.owner.rawValue != .max { byVif[flow.owner.rawValue, default: 0] &+= 1 }
    }
}

extension Dataplane_V1_FlowStatistics {
    init(_ statistics: FlowStatistics) {
        self.init()
        entries = UInt64(clamping: statistics.entries)
        capacity = UInt64(clamping: statistics.capacity)
        createdEntries = statistics.created
        removedEntries = statistics.removed
        aged = statistics.aged
        closed = statistics.closed
        evicted = statistics.evicted
        unanswered = statistics.unanswered
        tableFull = statistics.full
        busy = statistics.busy
        heldPackets = UInt64(clamping: statistics.heldPackets)
        limitDrops = statistics.overLimit
        rateDrops = statistics.overRate
        shareDrops = statistics.overShare
        pressure = UInt32(clamping: statistics.pressure)
    }
}

extension FatFlowRule {
    init(_ message: Dataplane_V1_FatFlowRule, _ reader: FieldReader) throws(FieldError) {
        let address: Address =
            switch message.ignoredAddress {
            case .none: .none
            case .remote: .remote
            case .local: .local
            case .UNRECOGNIZED(let number): throw reader.error("ignored_address", number, "no such end")
            }
        self.init(
            proto: try reader.octet(message.protocol, "protocol", most: 255), port: try reader.uint16(message.port, "port"), ignoredAddress: address)
    }
}

extension Dataplane_V1_FatFlowRule {
    init(_ rule: FatFlowRule) {
        self.init()
        self.protocol = UInt32(rule.proto)
        port = UInt32(rule.port)
        ignoredAddress =
            switch rule.ignoredAddress {
            case .none: .none
            case .remote: .remote
            case .local: .local
            }
    }
}
