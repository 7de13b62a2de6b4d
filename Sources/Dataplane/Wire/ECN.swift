/// Explicit congestion notification across a tunnel (RFC 6040). The two low bits of the IPv4 type of service and the IPv6 traffic class (RFC 3168 section 5).
enum ECN {
    static let notCapable: UInt8 = 0, capable1: UInt8 = 1, capable0: UInt8 = 2, congestion: UInt8 = 3

    /// What the inner header carries after decapsulation; nil: the packet is to be dropped, because it was marked and its sender would never learn
    /// (RFC 6040 section 4.2, figure 4):
    ///
    ///     inner \ outer   Not-ECT   ECT(0)    ECT(1)    CE
    ///     Not-ECT         Not-ECT   Not-ECT   Not-ECT   drop
    ///     ECT(0)          ECT(0)    ECT(0)    ECT(1)    CE
    ///     ECT(1)          ECT(1)    ECT(1)    ECT(1)    CE
    ///     CE              CE        CE        CE        CE
    ///
    /// A payload without such a field (ARP, another protocol than IP) is as good as Not-ECT.
    @inline(__always) static func decapsulated(inner: UInt8, outer: UInt8) -> UInt8? {
        if outer == congestion { return inner == notCapable ? nil : congestion }
        return inner == capable0 && outer == capable1 ? capable1 : inner
    }
}
