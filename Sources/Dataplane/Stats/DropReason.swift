/// Why a packet was dropped. One enum, one sentence each; the CLI's text, the API and the documentation derive from it.
/// Raw values are stable and never reused. Labels are those that `dropstats` users know.
public enum DropReason: UInt8, CaseIterable, Sendable {
    case invalidInterface = 1
    case invalidARP = 2
    case interfaceTransmitDiscard = 3
    case interfaceDrop = 4
    case flowTableFull = 7
    case flowActionDrop = 8
    case discards = 9
    case ttlExceeded = 10
    case invalidNextHop = 11
    case invalidLabel = 12
    case invalidProtocol = 13
    case packetLoop = 15
    case push = 16
    case pull = 17
    case headAllocation = 19
    case invalidPacket = 20
    case misc = 21
    case nowhereToGo = 22
    case checksumError = 23
    case invalidVNI = 24
    case fragmentError = 25
    case invalidSource = 26
    case noL2Route = 27
    case noRoute = 30
    case transmitQueueFull = 31
    case packetTooBig = 32
    case trapNoListener = 33
    case trapQueueFull = 34
    case invalidDestination = 35
    case noFragmentEntries = 40
    case multicastClone = 36
    case invalidMulticastSource = 37
    case jumboMulticast = 38
    case unknownVLAN = 39
    case workerQueueFull = 48
    case fragmentQueueFull = 49
    case trapRateLimited = 50
    case natPortsExhausted = 60
    case noBackend = 61
    case noTranslation = 62
    case newFlowDrop = 51
    case flowQueueLimit = 52
    case flowUnusable = 53

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
        case .flowTableFull: "Flow Table Full"
        case .flowActionDrop: "Flow Action Drop"
        case .discards: "Discards"
        case .ttlExceeded: "TTL Exceeded"
        case .invalidNextHop: "Invalid NH"
        case .invalidLabel: "Invalid Label"
        case .invalidProtocol: "Invalid Protocol"
        case .packetLoop: "Packet Loop"
        case .push: "Push Fails"
        case .pull: "Pull Fails"
        case .headAllocation: "Head Alloc Fails"
        case .invalidPacket: "Invalid Packets"
        case .misc: "Misc"
        case .nowhereToGo: "Nowhere to go"
        case .checksumError: "Checksum errors"
        case .invalidVNI: "Invalid VNID"
        case .fragmentError: "Fragment errors"
        case .invalidSource: "Invalid Source"
        case .noL2Route: "No L2 Route"
        case .noRoute: "No Route"
        case .transmitQueueFull: "TX Queue Full"
        case .packetTooBig: "Packet Too Big"
        case .trapNoListener: "Trap No IF"
        case .trapQueueFull: "Trap Queue Full"
        case .trapRateLimited: "Trap Rate Limit"
        case .newFlowDrop: "New Flow Drops"
        case .flowQueueLimit: "Flow Queue Limit Exceeded"
        case .flowUnusable: "Flow Unusable"
        case .invalidDestination: "Invalid Destination"
        case .noFragmentEntries: "No Fragment Entries"
        case .multicastClone: "Mcast Clone Fail"
        case .invalidMulticastSource: "Invalid Mcast Source"
        case .jumboMulticast: "Jumbo Mcast Pkt with DF Bit"
        case .unknownVLAN: "Unknown VLAN"
        case .workerQueueFull: "Worker Queue Full"
        case .fragmentQueueFull: "Fragment Queueing Failures"
        case .natPortsExhausted: "NAT Ports Exhausted"
        case .noBackend: "No Backend"
        case .noTranslation: "No Translation"
        }
    }

    /// "Packets dropped because …"
    public var explanation: String {
        switch self {
        case .invalidInterface: "the packet came in on a port that no vif uses, or the vif was deleted meanwhile"
        case .invalidARP: "the ARP packet is malformed, or asks what a workload may not ask"
        case .interfaceTransmitDiscard: "the outgoing vif is down or refuses packets"
        case .interfaceDrop: "the vif does not take this kind of packet"
        case .flowTableFull: "the flow table has no room for a new flow, or little, and the vif has more than its share of it"
        case .flowActionDrop: "the flow's action is drop"
        case .discards: "the next hop is the discard next hop"
        case .ttlExceeded: "the TTL or hop limit reached zero here"
        case .invalidNextHop: "the next hop does not exist or does not fit the packet"
        case .invalidLabel: "no next hop is bound to the MPLS label, or the label stack is malformed"
        case .invalidProtocol: "the protocol is not one that is forwarded here"
        case .packetLoop: "the packet passed through too many VRFs or next hops"
        case .push: "there is no headroom for another header"
        case .pull: "a header is longer than the packet"
        case .headAllocation: "no buffer was free for a packet the router makes"
        case .invalidPacket: "a header is malformed or a length field contradicts the frame"
        case .misc: "no other reason fits"
        case .nowhereToGo: "nothing on this router takes packets for this address"
        case .checksumError: "the IPv4 header checksum is wrong"
        case .invalidVNI: "no next hop is bound to the VNI"
        case .fragmentError: "the packet could not be fragmented, or is a fragment that is malformed, too short or overlaps with others"
        case .invalidSource: "the source fails antispoofing, the reverse path or tunnel source check, is not unicast, or is link-local and routed"
        case .noL2Route: "the bridge table does not know the destination MAC"
        case .noRoute: "the VRF has no route to the destination"
        case .transmitQueueFull: "the port's transmit queue took no more packets"
        case .packetTooBig: "the packet is larger than the outgoing MTU and may not be fragmented; the sender was told"
        case .trapNoListener: "the packet is for the control program, and none is connected"
        case .trapQueueFull: "the control program does not keep up with trapped packets"
        case .trapRateLimited: "the workload sends more packets for the control program than its share"
        case .flowQueueLimit: "too many packets wait for a decision about their flow"
        case .flowUnusable: "nobody decided in time what becomes of the flow, or the flow was deleted before"
        case .newFlowDrop: "the vif or the VRF has as many flows as it may have, or makes them faster than it may"
        case .workerQueueFull: "the worker that was to process or to send the packet does not keep up"
        case .invalidDestination: "the destination cannot be forwarded (loopback, this network), or is one station's in a frame to a group"
        case .noFragmentEntries:
            "more datagrams are coming in fragments than the fragment table, or the vif's half of it, holds; or the first fragment did not come"
        case .natPortsExhausted: "every port of the external address that is this router's is in use towards the destination"
        case .noBackend: "the service has no backend that takes new flows"
        case .noTranslation:
            "the flow cannot be translated: its protocol has no ports to share an address by, its translation would be another flow's, or the table was busy"
        case .fragmentQueueFull: "too many fragments wait for their datagrams' first"
        case .multicastClone: "no buffer was free for a copy of a flooded packet, or the packet is larger than a buffer"
        case .invalidMulticastSource: "a flooded packet came out of a tunnel whose far end is no member of the group's composite next hop"
        case .jumboMulticast: "a flooded packet is larger than the outgoing MTU and may not be fragmented"
        case .unknownVLAN: "no sub-interface of the vif has the frame's VLAN tags, or a frame from a tunnel has a tag"
        }
    }
}
