import Dataplane
import DataplaneAPI
import SwiftProtobuf

// Forwarding classes and QoS maps, both ways.

extension FieldReader {
    /// A small number that is at most `most`.
    func octet(_ value: UInt32, _ field: String, most: UInt8) throws(FieldError) -> UInt8 {
        guard value <= UInt32(most) else { throw error(field, value, "is at most \(most)") }
        return UInt8(value)
    }
}

extension ForwardingClassSpec {
    init(_ message: Dataplane_V1_ForwardingClass) throws(FieldError) {
        let reader = FieldReader(path: "upsert.forwarding_class")
        self.init(
            id: try reader.octet(message.id, "id", most: 255), dscp: try reader.octet(message.dscp, "dscp", most: 63),
            trafficClass: try reader.octet(message.trafficClass, "traffic_class", most: 7),
            vlanPriority: try reader.octet(message.vlanPriority, "vlan_priority", most: 7), cookie: message.cookie)
    }
}

extension QoSMapSpec {
    init(_ message: Dataplane_V1_QosMap) throws(FieldError) {
        let reader = FieldReader(path: "upsert.qos_map")
        self.init(
            id: try reader.octet(message.id, "id", most: 255), dscp: try Self.classes(message.dscp, reader, "dscp", most: 63),
            trafficClass: try Self.classes(message.trafficClass, reader, "traffic_class", most: 7),
            vlanPriority: try Self.classes(message.vlanPriority, reader, "vlan_priority", most: 7), cookie: message.cookie)
    }

    private static func classes(
        _ map: [UInt32: UInt32], _ reader: FieldReader, _ field: String, most: UInt8
    ) throws(FieldError) -> [UInt8: UInt8] {
        var out: [UInt8: UInt8] = [:]
        // In order, so that of several errors always the same is told.
        for (mark, id) in map.sorted(by: { $0.key < $1.key }) {
            out[try reader.octet(mark, field, most: most)] = try reader.octet(id, "\(field)[\(mark)]", most: 255)
        }
        return out
    }
}

extension Dataplane_V1_ForwardingClass {
    init(_ spec: ForwardingClassSpec) {
        self.init()
        id = UInt32(spec.id)
        dscp = UInt32(spec.dscp)
        trafficClass = UInt32(spec.trafficClass)
        vlanPriority = UInt32(spec.vlanPriority)
        cookie = spec.cookie
    }
}

extension Dataplane_V1_QosMap {
    init(_ spec: QoSMapSpec) {
        self.init()
        id = UInt32(spec.id)
        for (mark, forwardingClass) in spec.dscp { dscp[UInt32(mark)] = UInt32(forwardingClass) }
        for (mark, forwardingClass) in spec.trafficClass { trafficClass[UInt32(mark)] = UInt32(forwardingClass) }
        for (mark, forwardingClass) in spec.vlanPriority { vlanPriority[UInt32(mark)] = UInt32(forwardingClass) }
        cookie = spec.cookie
    }
}
