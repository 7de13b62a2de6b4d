/// Why a flow's packets are dropped: the letters behind `Action:D(…)` in `flow -l`, where they have the names they have in OpenSDN. Raw values are not reused.
public enum FlowDropReason: UInt8, Hashable, Sendable, CaseIterable {
    /// Programmed so by a control program, which knows why.
    case unknown = 0
    /// A network policy of the vif by which the flow enters.
    case policy = 1
    /// … of the vif by which it leaves.
    case outPolicy = 2
    case securityGroup = 3
    case outSecurityGroup = 4
    case firewall = 5
    case outFirewall = 6
    /// A policy says trap, and none says deny: a control program is to decide. Of no entry: what is denied for this reason is held instead.
    case undecided = 7

    public var label: String {
        switch self {
        case .unknown: "Unknown"
        case .policy: "Policy"
        case .outPolicy: "OutPolicy"
        case .securityGroup: "SG"
        case .outSecurityGroup: "OutSG"
        case .firewall: "FwPolicy"
        case .outFirewall: "OutFwPolicy"
        case .undecided: "Undecided"
        }
    }

    init(_ origin: PolicyOrigin, isLeaving: Bool) {
        self =
            switch origin {
            case .networkPolicy: isLeaving ? .outPolicy : .policy
            case .securityGroup: isLeaving ? .outSecurityGroup : .securityGroup
            case .firewall: isLeaving ? .outFirewall : .firewall
            }
    }
}
