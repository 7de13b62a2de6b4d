/// Compose/: packets the router makes itself, over raw memory that the caller gives: a destination and its capacity, or the packet itself.
///
/// Each function returns the length of the frame it made, or 0 when the packet does not call for one, is malformed, or the
/// memory is too small; then nothing was written. Frames begin with the Ethernet header; up to two VLAN tags of the cause are kept.
/// Whether the router *should* answer (is the address ours?) is the caller's decision: Compose knows formats, not tables.
///
/// Answers in place keep the padding of a frame up to the Ethernet minimum, so that a minimum frame stays one.
///
/// # Thread-safety
/// No state: the caller owns the memory.

/// The answer to an ARP request (RFC 826), in place.
enum ARPReply {
    /// Turns the request in `frame` into a reply that says the target address is at `mac`. 0 for anything but a request from a unicast address;
    /// also for an announcement (sender = target), which asks nothing (RFC 5227 section 3). A probe (sender 0.0.0.0) is answered.
    static func make(_ frame: UnsafeMutableRawPointer, length: Int, mac: UInt64) -> Int {
        guard let link = LinkHeader(frame, length: length), link.type == .arp, ARP.check(frame + link.size, available: length &- link.size)
        else { return 0 }
        let ethernet = Ethernet(frame)
        let packet = ARP(frame + link.size)
        let asker = packet.senderMAC, sender = packet.sender, target = packet.target
        guard packet.operation == ARP.request, asker != 0, !Ethernet.isMulticast(asker), sender != target else { return 0 }
        ethernet.destination = asker
        ethernet.source = mac
        ARP.Fields(operation: ARP.reply, senderMAC: mac, sender: target, targetMAC: asker, target: sender).emit(to: packet.p)
        return max(link.size &+ ARP.size, min(length, Ethernet.minimumLength))
    }
}

/// A question for a neighbour's MAC address (RFC 826).
enum ARPRequest {
    /// Octets of the frame.
    static let size = Ethernet.size + ARP.size

    /// Writes a request for `target`; `source` 0 makes it a probe (RFC 5227), `source` = `target` an announcement.
    /// `destination`: broadcast, or the neighbour itself to confirm what is known (RFC 1122 section 2.3.2.1).
    static func make(
        into p: UnsafeMutableRawPointer, capacity: Int, mac: UInt64, source: UInt32, target: UInt32, destination: UInt64 = Ethernet.broadcast
    ) -> Int {
        guard capacity >= size else { return 0 }
        Ethernet.Fields(destination: destination, source: mac, type: .arp).emit(to: p)
        ARP.Fields(operation: ARP.request, senderMAC: mac, sender: source, targetMAC: 0, target: target).emit(to: p + Ethernet.size)
        return size
    }
}
