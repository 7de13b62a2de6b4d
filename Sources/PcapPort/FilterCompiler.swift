import CPcap
public import Dataplane

/// `tcpdump`'s filter language (pcap-filter(7)) into a program that workers run, by libpcap.
public enum FilterCompiler {
    /// Throws libpcap's own words when the text is not a filter, or one that the workers cannot run.
    public static func compile(_ text: String) throws(PortError) -> PacketFilter {
        var instructions = Array(repeating: vr_pcap_instruction(), count: PacketFilter.maximumLength)
        var error = Array(repeating: CChar(0), count: Int(VR_PCAP_ERROR_SIZE))
        let count = vr_pcap_compile(text, &instructions, Int32(instructions.count), &error)
        guard count > 0 else {
            let octets = error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw PortError(String(decoding: octets, as: UTF8.self))
        }
        let program = instructions.prefix(Int(count)).map {
            PacketFilter.Instruction(code: $0.code, jumpTrue: $0.jump_true, jumpFalse: $0.jump_false, k: $0.k)
        }
        guard let filter = PacketFilter(program) else { throw PortError("the filter needs what only a live interface of the kernel offers") }
        return filter
    }
}
