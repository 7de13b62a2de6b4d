/// Why a packet was dropped. One enum, one sentence each; the CLI's text, the API and the documentation derive from it.
/// Raw values are stable and never reused. Labels are those that `dropstats` users know.
public enum DropReason: UInt8, CaseIterable, Sendable {
    case invalidInterface = 1, invalidARP, interfaceTransmitDiscard, interfaceDrop, interfaceReceiveDiscard
    case flowUnusable, flowTableFull, flowActionDrop, discards, ttlExceeded, invalidNextHop, invalidLabel, invalidProtocol
    case rewriteFail, packetLoop, push, pull, duplicate, headAllocation, invalidPacket, misc, nowhereToGo, checksumError
    case invalidVNI, fragmentError, invalidSource, noL2Route, memoryFailure, icmpError, noRoute, transmitQueueFull
    case packetTooBig, trapNoListener, trapQueueFull, invalidDestination, tunnelUnknownSource

    /// The stable identifier used in APIs and JSON.
    public var name: String {
        let characters = Array("\(self)")
        var out = ""
        for (index, character) in characters.enumerated() {
            // A word begins where a capital follows a small letter or digit, or where a small letter follows it (the end of an acronym).
            let previous = index > 0 ? characters[index - 1] : "_"
            let isAcronymEnd = previous.isUppercase && index + 1 < characters.count && characters[index + 1].isLowercase
            if character.isUppercase, previous.isLowercase || previous.isNumber || isAcronymEnd { out.append("_") }
            out.append(contentsOf: character.lowercased())
        }
        return out
    }

    /// As `dropstats` prints it.
    public var label: String {
        switch self {
        case .invalidInterface: "Invalid IF"
        case .invalidARP: "Invalid ARP"
        case .interfaceTransmitDiscard: "IF TX Discard"
        case .interfaceDrop: "IF Drop"
        case .interfaceReceiveDiscard: "IF RX Discard"
        case .flowUnusable: "Flow Unusable"
        case .flowTableFull: "Flow Table Full"
        case .flowActionDrop: "Flow Action Drop"
        case .discards: "Discards"
        case .ttlExceeded: "TTL Exceeded"
        case .invalidNextHop: "Invalid NH"
        case .invalidLabel: "Invalid Label"
        case .invalidProtocol: "Invalid Protocol"
        case .rewriteFail: "Rewrite Fail"
        case .packetLoop: "Packet Loop"
        case .push: "Push Fails"
        case .pull: "Pull Fails"
        case .duplicate: "Duplicate"
        case .headAllocation: "Head Alloc Fails"
        case .invalidPacket: "Invalid Packets"
        case .misc: "Misc"
        case .nowhereToGo: "Nowhere to go"
        case .checksumError: "Checksum errors"
        case .invalidVNI: "Invalid VNID"
        case .fragmentError: "Fragment errors"
        case .invalidSource: "Invalid Source"
        case .noL2Route: "No L2 Route"
        case .memoryFailure: "Memory Failures"
        case .icmpError: "ICMP errors"
        case .noRoute: "No Route"
        case .transmitQueueFull: "TX Queue Full"
        case .packetTooBig: "Packet Too Big"
        case .trapNoListener: "Trap No IF"
        case .trapQueueFull: "Trap Queue Full"
        case .invalidDestination: "Invalid Destination"
        case .tunnelUnknownSource: "Unknown Tunnel Source"
        }
    }

    /// "Packets dropped because …"
    public var explanation: String {
        switch self {
        case .invalidInterface: "the packet came in on a port that no vif uses, or the vif was deleted meanwhile"
        case .invalidARP: "the ARP packet is malformed, or asks what a workload may not ask"
        case .interfaceTransmitDiscard: "the outgoing vif is down or refuses packets"
        case .interfaceDrop: "the vif does not take this kind of packet"
        case .interfaceReceiveDiscard: "the vif receives nothing while it is set up or torn down"
        case .flowUnusable: "the flow entry is being removed"
        case .flowTableFull: "the flow table has no room for a new flow"
        case .flowActionDrop: "the flow's action is drop"
        case .discards: "the next hop is the discard next hop"
        case .ttlExceeded: "the TTL or hop limit reached zero here"
        case .invalidNextHop: "the next hop does not exist or does not fit the packet"
        case .invalidLabel: "no next hop is bound to the MPLS label, or the label stack is malformed"
        case .invalidProtocol: "the protocol is not one that is forwarded here"
        case .rewriteFail: "the link-layer header could not be written"
        case .packetLoop: "the packet passed through too many VRFs or next hops"
        case .push: "there is no headroom for another header"
        case .pull: "a header is longer than the packet"
        case .duplicate: "the port sent us our own packet back"
        case .headAllocation: "no buffer was free for a packet the router makes"
        case .invalidPacket: "a header is malformed or a length field contradicts the frame"
        case .misc: "no other reason fits"
        case .nowhereToGo: "nothing on this router takes packets for this address"
        case .checksumError: "the IPv4 header checksum is wrong"
        case .invalidVNI: "no next hop is bound to the VNI"
        case .fragmentError: "the packet could not be fragmented"
        case .invalidSource: "the source MAC or address is not the workload's (antispoofing), or not a unicast address"
        case .noL2Route: "the bridge table does not know the destination MAC"
        case .memoryFailure: "memory ran out"
        case .icmpError: "an ICMP error is about a packet that may not cause one"
        case .noRoute: "the VRF has no route to the destination"
        case .transmitQueueFull: "the port's transmit queue took no more packets"
        case .packetTooBig: "the packet is larger than the outgoing MTU and may not be fragmented; the sender was told"
        case .trapNoListener: "the packet is for the control program, and none is connected"
        case .trapQueueFull: "the control program does not keep up with trapped packets"
        case .invalidDestination: "the destination address is not one that can be forwarded (loopback, this network, multicast without a group)"
        case .tunnelUnknownSource: "the tunnel packet did not come from a known tunnel endpoint"
        }
    }
}
