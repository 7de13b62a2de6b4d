public import NetTypes

/// The objects of the programming API as values: what a control program may create, read back and delete.
/// They carry no pointers; `Router` turns them into table entries that are ready to run.
///
/// Every object has a `cookie`: an opaque number chosen by who programs it, read back unchanged, so that a program can
/// recognise (and sweep) its own objects. It does not take part in forwarding.

/// What a port is made of; opened by the drivers registered with the router.
public struct PortSpec: Hashable, Sendable {
    public enum Driver: Hashable, Sendable {
        /// A live interface through libpcap.
        case pcap(interface: String)
        /// Capture files: frames are read from `input` (nil: none) and written to `output` (nil: discarded).
        case pcapFile(input: String?, output: String?)
        /// A DPDK ethdev: a PCI address, or vdev arguments such as `net_af_packet0,iface=eth0`.
        /// `members`: devices that are plugged in before it, for `net_bonding` to join.
        case dpdk(device: String, members: [String] = [])
        /// What is transmitted is received again.
        case loopback
        /// The frames of a capture file, from memory, over and over: `count` packets in all, nil without end. What is transmitted is discarded.
        case replay(file: String, count: Int?)
        /// Nothing is received; what is transmitted is counted.
        case sink
    }
    public var name: String
    public var driver: Driver
    /// Largest IP packet in octets; 0: what the device says, else 1500.
    public var mtu: Int
    /// Receive queues to ask for; 0: one.
    public var queues: Int
    /// Whether received packets are spread over the workers by a hash of their (inner) flow; nil: when the port has too few queues for the workers, see `Router.publishPlans`.
    public var spread: Bool?
    public var cookie: UInt64
    public init(name: String, driver: Driver, mtu: Int = 0, queues: Int = 0, spread: Bool? = nil, cookie: UInt64 = 0) {
        self.spread = spread
        self.name = name
        self.driver = driver
        self.mtu = mtu
        self.queues = queues
        self.cookie = cookie
    }
}

public struct VRFSpec: Hashable, Sendable {
    public var id: VRFID
    public var name: String
    /// Frames to unknown MAC addresses take the VRF's broadcast entry; false: only those of vifs that say so.
    public var floodsUnknownUnicast: Bool
    /// Source MAC addresses are learned from vifs that bridge, and from VXLAN.
    public var learnsMACs: Bool
    /// Seconds after which a learned address that has not been seen is forgotten; 0: 300.
    public var macAgeing: UInt32
    /// Learned addresses at most; 0: no limit but the router's.
    public var macLimit: UInt32
    /// Flows (pairs) at most; 0: no limit but the table's.
    public var flowLimit: UInt32 = 0
    public var cookie: UInt64
    public init(
        id: VRFID, name: String, floodsUnknownUnicast: Bool = false, learnsMACs: Bool = false, macAgeing: UInt32 = 0, macLimit: UInt32 = 0,
        cookie: UInt64 = 0
    ) {
        self.id = id
        self.name = name
        self.floodsUnknownUnicast = floodsUnknownUnicast
        self.learnsMACs = learnsMACs
        self.macAgeing = macAgeing
        self.macLimit = macLimit
        self.cookie = cookie
    }
}
