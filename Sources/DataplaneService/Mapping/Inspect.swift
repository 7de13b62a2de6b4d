import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

// Mirrors, captures and the logs of packets and decisions between the API's messages and the router's values.

extension CaptureSpec.Direction {
    init(_ message: Dataplane_V1_Direction, _ reader: FieldReader) throws(FieldError) {
        switch message {
        case .both: self = .both
        case .received: self = .received
        case .sent: self = .sent
        case .UNRECOGNIZED(let number): throw reader.error("direction", number, "no such direction")
        }
    }

    var message: Dataplane_V1_Direction {
        switch self {
        case .both: .both
        case .received: .received
        case .sent: .sent
        }
    }
}

extension MirrorSpec {
    init(_ message: Dataplane_V1_Mirror) throws(FieldError) {
        let reader = FieldReader(path: "upsert.mirror")
        var sources: [Source] = []
        for source in message.sources { sources.append(Source(vif: VifID(source.vif), direction: try .init(source.direction, reader))) }
        let destination: Destination
        switch message.destination {
        case .file(let file):
            guard !file.path.isEmpty, file.path.utf8.count < 4096, !file.path.utf8.contains(0) else {
                throw reader.error("file.path", "\(file.path.utf8.count) octets", "is not a file's path")
            }
            destination = .file(path: file.path, maximumSize: Int(clamping: file.maximumSize), maximumFiles: Int(max(1, file.maximumFiles)))
        case .vif(let vif): destination = .vif(VifID(vif))
        case .vxlan(let vxlan): destination = .vxlan(NextHopID(vxlan.nextHop), try FieldReader(path: "upsert.mirror.vxlan").vni(vxlan.vni, "vni"))
        case .erspan(let erspan): destination = .erspan(NextHopID(erspan.nextHop), session: erspan.session)
        case nil: throw reader.missing("destination", "file, vif, vxlan, erspan")
        }
        self.init(id: message.id, sources: sources, destination: destination, snapLength: Int(message.snapLength), cookie: message.cookie)
    }
}

extension Dataplane_V1_Mirror {
    init(_ reading: MirrorReading) {
        self.init()
        let spec = reading.spec
        id = spec.id
        sources = spec.sources.map { source in
            .with {
                $0.vif = source.vif.rawValue
                $0.direction = source.direction.message
            }
        }
        switch spec.destination {
        case .file(let path, let maximumSize, let maximumFiles):
            file = .with {
                $0.path = path
                $0.maximumSize = UInt64(clamping: maximumSize)
                $0.maximumFiles = UInt32(clamping: maximumFiles)
            }
        case .vif(let id): vif = id.rawValue
        case .vxlan(let nextHop, let vni):
            vxlan = .with {
                $0.nextHop = nextHop.rawValue
                $0.vni = vni.rawValue
            }
        case .erspan(let nextHop, let session):
            erspan = .with {
                $0.nextHop = nextHop.rawValue
                $0.session = session
            }
        }
        snapLength = UInt32(clamping: spec.snapLength)
        cookie = spec.cookie
        copies = reading.copies
        lost = reading.lost
    }
}

extension Dataplane_V1_CapturedFrame {
    init(_ frame: CapturedFrame) {
        self.init()
        timeNs = frame.time
        vif = frame.vif.rawValue
        sent = frame.isSent
        length = UInt32(clamping: frame.length)
        octets = Data(frame.octets)
    }
}

extension Dataplane_V1_DroppedPacket {
    init(_ record: DropRecord) {
        self.init()
        worker = UInt32(clamping: record.worker)
        number = record.number
        timeNs = record.time
        reason = record.reason.name
        label = record.reason.label
        stage = record.stage
        line = UInt32(clamping: record.line)
        vif = record.vif.rawValue
        if let hop = record.nextHop { nextHop = hop.rawValue }
        if let id = record.vrf { vrf = id.rawValue }
        length = UInt32(clamping: record.length)
        if let address = record.summary.source { source = Data(address.bytes) }
        if let address = record.summary.destination { destination = Data(address.bytes) }
        if let proto = record.summary.proto { `protocol` = UInt32(proto) }
        if let port = record.summary.sourcePort { sourcePort = UInt32(port) }
        if let port = record.summary.destinationPort { destinationPort = UInt32(port) }
        etherType = UInt32(record.summary.etherType)
        octets = Data(record.octets)
    }
}

extension Dataplane_V1_LoggedDecision {
    init(_ record: PolicyLogRecord) {
        self.init()
        worker = UInt32(clamping: record.worker)
        number = record.number
        timeNs = record.time
        policy = record.policy.rawValue
        policyName = record.policyName
        rule = UInt32(clamping: record.rule)
        ruleName = record.ruleName
        action = Dataplane_V1_PolicyAction(record.action)
        dropReason = record.dropReason?.label ?? ""
        vif = record.vif.rawValue
        ingress = record.isIngress
        vrf = record.vrf.rawValue
        source = Data(record.source.bytes)
        destination = Data(record.destination.bytes)
        `protocol` = UInt32(record.proto)
        if record.proto == 1 || record.proto == 58 {
            icmpType = UInt32(record.destinationPort >> 8)
            icmpCode = UInt32(record.destinationPort & 0xFF)
        } else {
            sourcePort = UInt32(record.sourcePort)
            destinationPort = UInt32(record.destinationPort)
        }
    }
}
