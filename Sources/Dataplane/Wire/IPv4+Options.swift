/// Options of IPv4 (RFC 791 section 3.1). Type 0 ends the list, 1 is padding, every other has a length octet; the high bit of the type
/// says that the option is copied into every fragment.
extension IPv4 {
    private static let endOfList: UInt8 = 0, noOperation: UInt8 = 1, looseSourceRoute: UInt8 = 131, strictSourceRoute: UInt8 = 137

    /// Octets of the option at `offset`, which is inside the header; 0: malformed.
    @inline(__always) private func optionLength(_ offset: Int) -> Int {
        if p.octet(offset) <= IPv4.noOperation { return 1 }
        guard offset &+ 2 <= headerLength else { return 0 }
        let length = Int(p.octet(offset &+ 1))
        return length >= 2 && offset &+ length <= headerLength ? length : 0
    }

    /// The sender chose the path: loose or strict source route. True as well when the options are malformed, as one might hide there.
    var hasSourceRoute: Bool {
        var offset = IPv4.size
        while offset < headerLength {
            let type = p.octet(offset)
            if type == IPv4.endOfList { return false }
            let length = optionLength(offset)
            if length == 0 || type == IPv4.looseSourceRoute || type == IPv4.strictSourceRoute { return true }
            offset &+= length
        }
        return false
    }

    /// Octets of a header that carries only the copied options, padded to a multiple of 4; 0: the options are malformed.
    var copiedHeaderLength: Int {
        var offset = IPv4.size, copied = IPv4.size
        while offset < headerLength {
            let type = p.octet(offset)
            if type == IPv4.endOfList { break }
            let length = optionLength(offset)
            if length == 0 { return 0 }
            if type & 0x80 != 0 { copied &+= length }
            offset &+= length
        }
        return (copied &+ 3) & ~3
    }

    /// Writes this header with only its copied options: `copiedHeaderLength` octets, its own length field right.
    func emitCopied(to target: UnsafeMutableRawPointer) {
        target.copyMemory(from: p, byteCount: IPv4.size)
        var offset = IPv4.size, copied = IPv4.size
        while offset < headerLength {
            let type = p.octet(offset)
            if type == IPv4.endOfList { break }
            let length = optionLength(offset)
            if length == 0 { break }
            if type & 0x80 != 0 {
                (target + copied).copyMemory(from: p + offset, byteCount: length)
                copied &+= length
            }
            offset &+= length
        }
        while copied & 3 != 0 {
            target.set(copied, octet: IPv4.endOfList)
            copied &+= 1
        }
        IPv4(target).headerLength = copied
    }
}
