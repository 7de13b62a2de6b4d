public import Dataplane

/// DPDK: its start, once per process, and its ports.
///
/// DPDK is behind the package trait `DPDK` (on by default on Linux). Without it this module still has `DPDK.start` and
/// `DPDKPort.open`, which say what to build. With it, `start` brings EAL up and returns the mbuf pool that is then *the* buffer
/// pool of the process: every port, libpcap ones too, takes its buffers there, so that any frame can leave by any port.
///
/// Workers are not EAL's: EAL makes no thread and pins none; a worker is registered with it at its first burst.
///
/// Thread-safety: `start` and `open` from any thread, one at a time (the router's control lock sees to it).
public enum DPDK {
    /// This build has DPDK.
    public static var isBuiltIn: Bool {
        #if DPDK
        true
        #else
        false
        #endif
    }

    static let missing = "this build has no DPDK; build with --traits DPDK (needs libdpdk-dev), or use libpcap ports"

    /// An mbuf counts its octets in 16 bits. Holds every TCP frame of a kernel with default settings (GSO), which stay below 65,282 octets.
    public static let largestBufferSize = 65535
    /// The default is the largest: a workload behind net_af_packet sends such frames unless told otherwise, and without hugepages
    /// a buffer costs only the pages that were touched. With NICs alone, 10240 (a 9000-octet packet) is enough.
    public static let defaultBufferSize = largestBufferSize
    public static let defaultBufferCount = 4096

    /// The device and its members, when they can be what is meant. Does not touch DPDK: for `--check-config`, too.
    static func deviceArguments(_ device: String, members: [String]) throws(PortError) -> (device: DeviceArguments, members: [DeviceArguments]) {
        var joined: [DeviceArguments] = []
        for member in members { joined.append(try deviceArguments(member, memberCount: 0)) }
        return (try deviceArguments(device, memberCount: members.count), joined)
    }

    private static func deviceArguments(_ text: String, memberCount: Int) throws(PortError) -> DeviceArguments {
        guard let arguments = DeviceArguments(text) else {
            throw PortError("“\(text)” is no DPDK device; write a PCI address, or a vdev and its arguments as in net_tap0,iface=tap0")
        }
        if let fault = arguments.fault(memberCount: memberCount) { throw PortError("DPDK device \(text): \(fault)") }
        return arguments
    }

    /// What is wrong with the device of `spec`, a `.dpdk`, as far as can be told without opening it.
    public static func check(_ spec: PortSpec) throws(PortError) {
        if case .dpdk(let device, let members) = spec.driver { _ = try deviceArguments(device, members: members) }
    }

    /// Starts EAL with `arguments` (see `EALArguments` for what is added) and makes the pool of `count` buffers of `size` octets.
    /// A second call in a process throws.
    public static func start(arguments: [String], count: Int = defaultBufferCount, size: Int = defaultBufferSize) throws(PortError) -> BufferPool {
        #if DPDK
        try DPDKBufferPool.start(arguments: arguments, count: count, size: size)
        #else
        throw PortError(missing)
        #endif
    }
}

#if !DPDK
/// Opens DPDK ports; in this build, says that there are none.
public enum DPDKPort {
    public static func open(_ spec: PortSpec) throws(PortError) -> Port { throw PortError(DPDK.missing) }
}
#endif
