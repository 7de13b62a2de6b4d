import Dataplane
import DataplaneAPI
import NetTypes
import SwiftProtobuf

// Policies and address groups, both ways.

extension FieldReader {
    func prefixes(_ list: [Dataplane_V1_Prefix], _ field: String) throws(FieldError) -> [IPPrefix] {
        var out: [IPPrefix] = []
        out.reserveCapacity(list.count)
        for (index, item) in list.enumerated() { out.append(try FieldReader(path: "\(path).\(field)[\(index)]").prefix(item.address, item.length)) }
        return out
    }

    func portRanges(_ list: [Dataplane_V1_PortRange], _ field: String) throws(FieldError) -> [ClosedRange<UInt16>] {
        var out: [ClosedRange<UInt16>] = []
        for (index, item) in list.enumerated() {
            guard item.first <= item.last, item.last <= 65_535 else {
                throw error("\(field)[\(index)]", "\(item.first)-\(item.last)", "a range of ports is first <= last <= 65535")
            }
            out.append(UInt16(item.first)...UInt16(item.last))
        }
        return out
    }

    func policyAction(_ action: Dataplane_V1_PolicyAction, _ field: String) throws(FieldError) -> PolicyAction {
        switch action {
        case .pass: return .pass
        case .deny: return .deny
        case .trap: return .trap
        case .unspecified, .UNRECOGNIZED: throw error(field, action.rawValue, "is none of PASS, DENY, TRAP")
        }
    }
}

extension PolicySpec {
    init(_ message: Dataplane_V1_Policy) throws(FieldError) {
        let reader = FieldReader(path: "upsert.policy")
        let origin: PolicyOrigin
        switch message.origin {
        case .unspecified, .securityGroup: origin = .securityGroup
        case .networkPolicy: origin = .networkPolicy
        case .firewall: origin = .firewall
        case .UNRECOGNIZED(let number): throw reader.error("origin", number, "no such origin")
        }
        var rules: [PolicyRule] = []
        rules.reserveCapacity(message.rules.count)
        for (index, rule) in message.rules.enumerated() { rules.append(try PolicyRule(rule, FieldReader(path: "upsert.policy.rules[\(index)]"))) }
        self.init(
            id: PolicyID(message.id), name: message.name, origin: origin, rules: rules,
            defaultAction: try reader.policyAction(message.defaultAction, "default_action"), cookie: message.cookie)
    }
}

extension PolicyRule {
    init(_ message: Dataplane_V1_PolicyRule, _ reader: FieldReader) throws(FieldError) {
        func addresses(_ message: Dataplane_V1_PolicyAddresses, _ field: String) throws(FieldError) -> PolicyAddresses {
            switch message.addresses {
            case nil: return .any
            case .prefixes(let list): return .prefixes(try FieldReader(path: "\(reader.path).\(field)").prefixes(list.prefixes, "prefixes"))
            case .group(let id): return .group(AddressGroupID(id))
            }
        }
        self.init(
            name: message.name, action: try reader.policyAction(message.action, "action"), remote: try addresses(message.remote, "remote"),
            local: try addresses(message.local, "local"), service: try PolicyService(message.service, FieldReader(path: "\(reader.path).service")),
            mirror: try reader.octet(message.mirror, "mirror", most: 255), logs: message.log)
    }
}

extension PolicyService {
    init(_ message: Dataplane_V1_PolicyService, _ reader: FieldReader) throws(FieldError) {
        let hasPorts = !message.destinationPorts.isEmpty || !message.sourcePorts.isEmpty, hasType = message.hasIcmpType || message.hasIcmpCode
        guard message.hasProtocol else {
            if hasPorts || hasType { throw reader.error("protocol", "", "missing: ports and ICMP types are a protocol's") }
            self = .any
            return
        }
        let proto = try reader.octet(message.protocol, "protocol", most: 255)
        if hasPorts {
            if hasType { throw reader.error("icmp_type", message.icmpType, "a protocol has ports or ICMP types, not both") }
            self = .ports(
                proto: proto, destination: try reader.portRanges(message.destinationPorts, "destination_ports"),
                source: try reader.portRanges(message.sourcePorts, "source_ports"))
        } else if hasType {
            self = .icmp(
                proto: proto, type: message.hasIcmpType ? try reader.octet(message.icmpType, "icmp_type", most: 255) : nil,
                code: message.hasIcmpCode ? try reader.octet(message.icmpCode, "icmp_code", most: 255) : nil)
        } else {
            self = .proto(proto)
        }
    }
}

extension AddressGroupSpec {
    init(_ message: Dataplane_V1_AddressGroup) throws(FieldError) {
        self.init(
            id: AddressGroupID(message.id), name: message.name,
            prefixes: try FieldReader(path: "upsert.address_group").prefixes(message.prefixes, "prefixes"), cookie: message.cookie)
    }
}

extension Dataplane_V1_PolicyAction {
    init(_ action: PolicyAction) {
        self =
            switch action {
            case .pass: .pass
            case .deny: .deny
            case .trap: .trap
            }
    }
}

extension Dataplane_V1_PolicyOrigin {
    init(_ origin: PolicyOrigin) {
        self =
            switch origin {
            case .securityGroup: .securityGroup
            case .networkPolicy: .networkPolicy
            case .firewall: .firewall
            }
    }
}

extension Dataplane_V1_Policy {
    init(_ spec: PolicySpec) {
        self.init()
        id = spec.id.rawValue
        name = spec.name
        origin = Dataplane_V1_PolicyOrigin(spec.origin)
        defaultAction = Dataplane_V1_PolicyAction(spec.defaultAction)
        rules = spec.rules.map { Dataplane_V1_PolicyRule($0) }
        cookie = spec.cookie
    }
}

extension Dataplane_V1_PolicyRule {
    init(_ rule: PolicyRule) {
        self.init()
        name = rule.name
        action = Dataplane_V1_PolicyAction(rule.action)
        mirror = UInt32(rule.mirror)
        log = rule.logs
        if let addresses = Dataplane_V1_PolicyAddresses(rule.remote) { remote = addresses }
        if let addresses = Dataplane_V1_PolicyAddresses(rule.local) { local = addresses }
        guard rule.service != .any else { return }
        service = .with { message in
            func range(_ ports: ClosedRange<UInt16>) -> Dataplane_V1_PortRange {
                .with {
                    $0.first = UInt32(ports.lowerBound)
                    $0.last = UInt32(ports.upperBound)
                }
            }
            switch rule.service {
            case .any: break
            case .proto(let proto): message.protocol = UInt32(proto)
            case .ports(let proto, let destination, let source):
                message.protocol = UInt32(proto)
                message.destinationPorts = destination.map(range)
                message.sourcePorts = source.map(range)
            case .icmp(let proto, let type, let code):
                message.protocol = UInt32(proto)
                if let type { message.icmpType = UInt32(type) }
                if let code { message.icmpCode = UInt32(code) }
            }
        }
    }
}

extension Dataplane_V1_PolicyAddresses {
    /// Nil: any.
    init?(_ addresses: PolicyAddresses) {
        self.init()
        switch addresses {
        case .any: return nil
        case .prefixes(let list): prefixes = .with { $0.prefixes = list.map { Dataplane_V1_Prefix($0) } }
        case .group(let id): group = id.rawValue
        }
    }
}

extension Dataplane_V1_AddressGroup {
    init(_ spec: AddressGroupSpec) {
        self.init()
        id = spec.id.rawValue
        name = spec.name
        prefixes = spec.prefixes.map { Dataplane_V1_Prefix($0) }
        cookie = spec.cookie
    }
}

// MARK: - Explanations

extension PolicyQuestion {
    init(_ message: Dataplane_V1_ExplainPolicyRequest) throws(FieldError) {
        let reader = FieldReader(path: "")
        let proto = try reader.octet(message.protocol, "protocol", most: 255)
        let source = try reader.address(message.source, "source"), destination = try reader.address(message.destination, "destination")
        guard source.isIPv4 == destination.isIPv4 else { throw reader.error("destination", destination, "is not of the source's family") }
        func port(_ value: UInt32, _ field: String) throws(FieldError) -> UInt16 {
            guard value <= 65_535 else { throw reader.error(field, value, "is at most 65535") }
            return UInt16(value)
        }
        let isICMP = proto == 1 || proto == 58
        let type = UInt16(try reader.octet(message.icmpType, "icmp_type", most: 255)) << 8
        self.init(
            vif: VifID(message.vif), isIngress: message.ingress, proto: proto, source: source, destination: destination,
            sourcePort: try port(message.sourcePort, "source_port"),
            destinationPort: isICMP
                ? type | UInt16(try reader.octet(message.icmpCode, "icmp_code", most: 255)) : try port(message.destinationPort, "destination_port"))
    }
}

extension Dataplane_V1_ExplainPolicyResponse {
    init(_ explanation: PolicyExplanation) {
        self.init()
        action = Dataplane_V1_PolicyAction(explanation.action)
        opinions = explanation.opinions.map { Dataplane_V1_PolicyOpinion($0) }
        outcome = Dataplane_V1_FlowOutcome(explanation.outcome)
    }
}

extension Dataplane_V1_PolicyOpinion {
    init(_ opinion: PolicyExplanation.Opinion) {
        self.init()
        policy = opinion.policy.rawValue
        name = opinion.name
        origin = Dataplane_V1_PolicyOrigin(opinion.origin)
        action = Dataplane_V1_PolicyAction(opinion.action)
        if let index = opinion.rule { rule = UInt32(index) }
        ruleName = opinion.ruleName
    }
}

extension Dataplane_V1_FlowOutcome {
    init(_ outcome: FlowOutcome) {
        self.init()
        verdict =
            switch outcome.verdict {
            case .forwarded: .forwarded
            case .dropped: .dropped
            case .held: .held
            }
        decider =
            switch outcome.decider {
            case .antispoof: .antispoof
            case .translation: .translation
            case .egress: .egress
            case .ingress: .ingress
            case .route: .route
            case nil: .unspecified
            }
        if let vif = outcome.sourceVif { sourceVif = vif.rawValue }
        if let vif = outcome.destinationVif { destinationVif = vif.rawValue }
        if let hop = outcome.nextHop { nextHop = hop.rawValue }
        exit =
            switch outcome.exit {
            case .workload: .workload
            case .tunnel: .tunnel
            case .router: .router
            case nil: .unspecified
            }
        dropReason = outcome.dropReason
        if let deciding = outcome.opinion { opinion = Dataplane_V1_PolicyOpinion(deciding) }
        translated = outcome.isTranslated
    }
}
