public import NetTypes

/// An ordered list of rules; the first that matches decides. A vif names the policies that connections to its workload (ingress) and from it (egress) have to pass, all of them.
///
/// Only the first packet of a flow is asked for. The flow's other packets, and its replies, go by what was decided, until a change of a policy or of a group
/// decides otherwise.
public struct PolicySpec: Hashable, Sendable {
    public var id: PolicyID
    public var name: String
    /// What stands behind it: flows that it drops are named after this.
    public var origin: PolicyOrigin
    public var rules: [PolicyRule]
    /// When no rule matches.
    public var defaultAction: PolicyAction
    public var cookie: UInt64
    public init(
        id: PolicyID, name: String, origin: PolicyOrigin = .securityGroup, rules: [PolicyRule] = [], defaultAction: PolicyAction = .deny,
        cookie: UInt64 = 0
    ) {
        self.id = id
        self.name = name
        self.origin = origin
        self.rules = rules
        self.defaultAction = defaultAction
        self.cookie = cookie
    }
    public static let ruleCapacity = 65_536
}

public enum PolicyAction: UInt8, Hashable, Sendable, CaseIterable {
    case pass, deny
    /// A control program decides, for each flow by itself: the flow is held, and its first packet trapped. Where another policy denies it, it is denied.
    case trap
}

public enum PolicyOrigin: UInt8, Hashable, Sendable, CaseIterable { case securityGroup, networkPolicy, firewall }

public struct PolicyRule: Hashable, Sendable {
    /// What an explanation calls it.
    public var name: String
    public var action: PolicyAction
    /// The far end: the source of what comes to the workload, the destination of what it sends.
    public var remote: PolicyAddresses
    /// The workload's own end.
    public var local: PolicyAddresses
    public var service: PolicyService
    /// The mirror (1 to 255) that gets copies of the flows it lets pass, both directions; 0: none. It need not be there: then nothing is copied.
    public var mirror: UInt8
    /// Each flow it decides is told (`Router.policyLog`).
    public var logs: Bool
    public init(
        name: String = "", action: PolicyAction = .pass, remote: PolicyAddresses = .any, local: PolicyAddresses = .any, service: PolicyService = .any,
        mirror: UInt8 = 0, logs: Bool = false
    ) {
        self.name = name
        self.action = action
        self.remote = remote
        self.local = local
        self.service = service
        self.mirror = mirror
        self.logs = logs
    }
}

public enum PolicyAddresses: Hashable, Sendable {
    /// Of either family. All of one family: 0.0.0.0/0, ::/0.
    case any
    case prefixes([IPPrefix])
    case group(AddressGroupID)
}

/// What of a packet's protocol a rule asks for.
public enum PolicyService: Hashable, Sendable {
    case any
    /// IP protocol number; its ports, if it has any, do not matter.
    case proto(UInt8)
    /// TCP (6), UDP (17), UDP-Lite (136), DCCP (33) or SCTP (132), and ranges of ports, empty: all.
    case ports(proto: UInt8, destination: [ClosedRange<UInt16>], source: [ClosedRange<UInt16>])
    /// Type, and code, of ICMP (1) or ICMPv6 (58) messages; nil: all.
    case icmp(proto: UInt8, type: UInt8?, code: UInt8?)
}

/// A set of prefixes. A change of it counts for every policy that names it.
public struct AddressGroupSpec: Hashable, Sendable {
    public var id: AddressGroupID
    public var name: String
    public var prefixes: [IPPrefix]
    public var cookie: UInt64
    public init(id: AddressGroupID, name: String, prefixes: [IPPrefix] = [], cookie: UInt64 = 0) {
        self.id = id
        self.name = name
        self.prefixes = prefixes
        self.cookie = cookie
    }
}
