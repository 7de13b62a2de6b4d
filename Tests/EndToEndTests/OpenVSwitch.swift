import Foundation

/// Open vSwitch's userspace datapath in a namespace of a site, with a database, sockets and logs of its own, so that an Open vSwitch of the machine sees
/// nothing of it.
final class OpenVSwitch {
    private static let daemon = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
    private let site: Site
    private let namespace: String
    private let folder: String
    private let usesDPDK: Bool
    private let database: Background
    private var daemon: Background?
    private var devices = 0

    /// `usesDPDK`: ports are DPDK devices that a polling thread serves; else packet sockets.
    init(_ site: Site, _ namespace: String, usesDPDK: Bool) throws {
        (self.site, self.namespace, self.usesDPDK) = (site, namespace, usesDPDK)
        folder = site.path("ovs-\(namespace)")
        let folder = folder
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        guard FileManager.default.isExecutableFile(atPath: Self.daemon) else {
            throw Failure("\(Self.daemon) is not there: ./run test installs openvswitch-switch-dpdk")
        }
        let environment = ["env"] + ["RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"].map { "OVS_\($0)=\(folder)" }
        try Shell.succeed(environment + ["ovsdb-tool", "create", "\(folder)/conf.db", "/usr/share/openvswitch/vswitch.ovsschema"])
        database = try Background(
            environment + ["ovsdb-server", "\(folder)/conf.db", "--remote=punix:\(folder)/db.sock", "--unixctl=\(folder)/db.ctl"])
        try eventually("ovsdb-server") { FileManager.default.fileExists(atPath: "\(folder)/db.sock") }
        var words = ["--no-wait", "--", "init", "--", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2"]
        if usesDPDK {
            words += [
                // Without hugepages, and with a pool of buffers per port: the one for all ports would take 700 MB.
                "other_config:dpdk-init=true", "other_config:per-port-memory=true", "other_config:pmd-cpu-mask=0x1",
                "other_config:dpdk-extra=--no-huge --legacy-mem -m 512 --no-shconf --no-pci --no-telemetry --log-level warning",
            ]
        }
        try control(words)
        let daemon = try Background(
            site.inside(namespace, environment + [Self.daemon, "unix:\(folder)/db.sock", "--unixctl=\(folder)/vswitchd.ctl", "--no-chdir"]))
        self.daemon = daemon
        try eventually("ovs-vswitchd") { !daemon.isRunning || FileManager.default.fileExists(atPath: "\(folder)/vswitchd.ctl") }
        guard daemon.isRunning else { throw Failure("ovs-vswitchd: \(daemon.errors.suffix(2000))") }
    }

    deinit {
        daemon?.end()
        database.end()
    }

    /// ovs-vsctl.
    func control(_ words: [String]) throws { try Shell.succeed(["ovs-vsctl", "--db=unix:\(folder)/db.sock", "--timeout=30"] + words) }
    /// ovs-appctl.
    @discardableResult func ask(_ words: String...) throws -> String {
        try Shell.succeed(["ovs-appctl", "--timeout=10", "-t", "\(folder)/vswitchd.ctl"] + words)
    }

    /// A bridge; with an address it is where tunnels of this Open vSwitch begin.
    func addBridge(_ name: String, address: String? = nil, mac: String? = nil) throws {
        try control(
            ["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev"] + (mac.map { ["other-config:hwaddr=\($0)"] } ?? []))
        guard let address else { return }
        try site.succeed(namespace, "ip", "address", "add", address, "dev", name)
        try site.succeed(namespace, "ip", "link", "set", name, "up")
    }

    /// An interface of the namespace.
    func addPort(_ bridge: String, _ interface: String, _ options: String...) throws {
        if usesDPDK {
            devices += 1
            try control(
                ["--", "add-port", bridge, "d-\(interface)"] + options
                    + [
                        "--", "set", "interface", "d-\(interface)", "type=dpdk", "mtu_request=1600",
                        // Of the drivers that need no hardware this one takes frames of more than 1518 octets.
                        "options:dpdk-devargs=net_pcap\(devices),rx_iface_in=\(interface),tx_iface=\(interface)",
                    ])
        } else {
            try control(["--", "add-port", bridge, interface] + options)
        }
    }

    func addTunnel(_ bridge: String, _ name: String, _ type: String, _ options: String...) throws {
        try control(["--", "add-port", bridge, name, "--", "set", "interface", name, "type=\(type)"] + options.map { "options:\($0)" })
    }

    /// In place of switching as usual. Ports are called by their names.
    func setFlows(_ bridge: String, _ flows: String...) throws {
        let management = "unix:\(folder)/\(bridge).mgmt"
        try Shell.succeed(["ovs-ofctl", "-O", "OpenFlow14", "del-flows", management])
        for flow in flows { try Shell.succeed(["ovs-ofctl", "--names", "-O", "OpenFlow14", "add-flow", management, flow]) }
    }
}
