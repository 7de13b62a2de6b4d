public import NetTypes
import Synchronization

/// A flow to ask the policies of a vif about.
public struct PolicyQuestion: Hashable, Sendable {
    public var vif: VifID
    /// To the workload; false: from it.
    public var isIngress: Bool
    public var proto: UInt8
    public var source: IPAddress
    public var destination: IPAddress
    public var sourcePort: UInt16
    /// ICMP: type << 8 | code.
    public var destinationPort: UInt16
    /// `source` and `destination` of one family.
    public init(
        vif: VifID, isIngress: Bool, proto: UInt8, source: IPAddress, destination: IPAddress, sourcePort: UInt16, destinationPort: UInt16
    ) {
        self.vif = vif
        self.isIngress = isIngress
        self.proto = proto
        self.source = source
        self.destination = destination
        self.sourcePort = sourcePort
        self.destinationPort = destinationPort
    }

    var query: CompiledPolicy.Query {
        func number(_ address: IPAddress) -> UInt128 {
            switch address {
            case .v4(let address): UInt128(address.rawValue)
            case .v6(let address): address.number
            }
        }
        return CompiledPolicy.Query(
            isIPv4: source.isIPv4, proto: proto, remote: number(isIngress ? source : destination), local: number(isIngress ? destination : source),
            sourcePort: sourcePort, destinationPort: destinationPort)
    }
}

/// What the policies of a vif say.
public struct PolicyExplanation: Hashable, Sendable {
    /// Of one policy, by its rules as they were given.
    public struct Opinion: Hashable, Sendable {
        public var policy: PolicyID
        public var name: String
        public var origin: PolicyOrigin
        public var action: PolicyAction
        /// Index of the rule that decides; nil: none matches.
        public var rule: Int?
        public var ruleName: String
    }
    /// What the workers would do.
    public var action: PolicyAction
    public var opinions: [Opinion]
    /// Of the first packet, whichever direction was asked about.
    public var outcome: FlowOutcome
}

extension Router {
    /// Nil: there is no such vif.
    public func explain(_ question: PolicyQuestion) -> PolicyExplanation? {
        state.withLock { state in
            guard let vif = state.vifs[question.vif] else { return nil }
            let query = question.query
            var explanation = PolicyExplanation(
                action: .pass, opinions: opinions(of: question.vif, isIngress: question.isIngress, query, state), outcome: outcome(question, state))
            for id in question.isIngress ? vif.ingressPolicies : vif.egressPolicies {
                guard let compiled = tables.policies.load(id.rawValue) else {
                    explanation.action = .deny
                    continue
                }
                switch compiled.pointee.evaluate(query) {
                case .pass: break
                case .deny: explanation.action = .deny
                case .trap: if explanation.action == .pass { explanation.action = .trap }
                }
            }
            return explanation
        }
    }
}
