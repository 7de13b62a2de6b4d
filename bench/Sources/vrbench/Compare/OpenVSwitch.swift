import Foundation
import NetTypes
import Workloads

/// Open vSwitch's userspace datapath, with its defaults (EMC on), one PMD thread. Its database, sockets and logs are in the site's folder and its
/// bridges' interfaces in a network namespace without a name, so that an Open vSwitch of the machine's own sees nothing of it.
struct OpenVSwitch: Peer {
    enum Pipeline {
        /// in_port → output
        case port
        /// one rule per prefix: both MAC addresses set, TTL lowered
        case route([IPPrefix])
        /// the same behind connection tracking, new connections committed
        case tracked([IPPrefix])
        /// connection tracking and hardly a rule besides: new connections are committed at once, or, as it is usually done, when they have been looked up
        case committed(looksFirst: Bool)
        /// the same as `tracked` with source address and port translated, from 100.64.0.0/16
        case translated([IPPrefix])
        /// a select group of so many buckets
        case ecmp(Int)
        case push, pop
    }

    var scenario: String
    var pipeline: Pipeline
    var workload: Workload
    var program: String { "ovs-vswitchd (DPDK datapath)" }
    static let daemon = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"

    var added: Int {
        if case .port = pipeline { 0 } else { workload.added }
    }

    func isRight(_ came: [UInt8], _ left: [UInt8]) -> Bool {
        switch pipeline {
        case .port: return left == came
        case .push:
            // Its outer header is its own (IP identification, TTL, source port); the rest is given.
            return left.count == came.count + 50 && Array(left[50...]) == came && left[23] == 17
                && Array(left[26..<34]) == Program.node.bytes + Program.peer.bytes
                && Array(left[36..<38]) == [0x12, 0xB5] && Array(left[46..<49]) == [0, 0x13, 0x89]
        case .translated:
            // Which address and port it takes is its own affair; everything else follows.
            guard left.count == came.count, left.count >= 42, left[26] == 100, left[27] == 64 else { return false }
            return left == Frames.ethernet(Program.workload, .gateway, 0x0800)
                + Frames.translated(Frames.lowered(came), source: Array(left[26..<30]), port: UInt16(left[34]) << 8 | UInt16(left[35]))
        case .route, .tracked, .committed, .ecmp, .pop: return left == workload.expected(came, left)
        }
    }

    func start(_ site: Site) throws -> any Session { try OpenVSwitchSession(self, site) }

    /// OpenFlow rules of the bridge that routes: `(rules, groups)`.
    var rules: (flows: [String], groups: [String]) {
        let rewrite = "mod_dl_src:\(MACAddress.gateway),mod_dl_dst:\(Program.workload),dec_ttl,output:2"
        func route(_ prefixes: [IPPrefix], table: Int) -> [String] {
            prefixes.map { "table=\(table),priority=\($0.length),ip,nw_dst=\($0),actions=\(rewrite)" }
        }
        switch pipeline {
        case .port: return (["in_port=1,actions=output:2"], [])
        case .route(let prefixes): return (route(prefixes, table: 0), [])
        case .tracked(let prefixes):
            return (
                [
                    "table=0,in_port=1,ip,actions=ct(table=1)", "table=1,ip,ct_state=+trk+new,actions=ct(commit),goto_table:2",
                    "table=1,ip,ct_state=+trk-new,actions=goto_table:2",
                ]
                    + route(prefixes, table: 2), []
            )
        case .committed(let looksFirst):
            guard looksFirst else { return (["in_port=1,ip,actions=ct(commit),\(rewrite)"], []) }
            return (
                [
                    "table=0,in_port=1,ip,actions=ct(table=1)", "table=1,ip,ct_state=+trk+new,actions=ct(commit),\(rewrite)",
                    "table=1,ip,ct_state=+trk-new,actions=\(rewrite)",
                ], []
            )
        case .translated(let prefixes):
            return (
                ["table=0,in_port=1,ip,actions=ct(commit,nat(src=100.64.0.1-100.64.255.254),table=2)"] + route(prefixes, table: 2), []
            )
        case .ecmp(let members):
            let buckets = (0..<members).map { "bucket=bucket_id:\($0),actions=\(rewrite)" }.joined(separator: ",")
            return (["in_port=1,ip,actions=group:1"], ["group_id=1,type=select,selection_method=hash,\(buckets)"])
        case .push: return (["in_port=1,actions=output:9"], [])
        case .pop: return (["in_port=9,actions=output:2"], [])
        }
    }
}

final class OpenVSwitchSession: Session {
    private let database: Running
    let running: Running
    private let site: Site
    private let environment: [String: String]

    init(_ peer: OpenVSwitch, _ site: Site) throws {
        self.site = site
        let folder = site.folder + "/ovs"
        try? FileManager.default.removeItem(atPath: folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        environment = ["OVS_RUNDIR": folder, "OVS_LOGDIR": folder, "OVS_DBDIR": folder, "OVS_SYSCONFDIR": folder]
        let socket = "unix:\(folder)/db.sock"
        try command(["ovsdb-tool", "create", "\(folder)/conf.db", "/usr/share/openvswitch/vswitch.ovsschema"], environment: environment)
        database = try Running(
            "ovsdb-server", "/usr/sbin/ovsdb-server", ["\(folder)/conf.db", "--remote=punix:\(folder)/db.sock", "--unixctl=\(folder)/db.ctl"],
            environment: environment, folder: site.folder)
        do {
            try Self.wait("ovsdb-server") { FileManager.default.fileExists(atPath: "\(folder)/db.sock") }
            let vsctl = ["ovs-vsctl", "--db=\(socket)", "--no-wait"]
            try command(
                vsctl + [
                    "--", "init", "--", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                    "other_config:dpdk-lcore-mask=\(String(1 << site.otherCore, radix: 16))",
                    "other_config:pmd-cpu-mask=\(String(1 << site.core, radix: 16))",
                    "other_config:dpdk-extra=-d \(site.plugin) --no-huge --legacy-mem -m 2048 --no-shconf --no-pci --no-telemetry --log-level warning",
                ], environment: environment)
            running = try Running(
                "ovs-vswitchd", "/usr/bin/unshare", ["--net", OpenVSwitch.daemon, socket, "--unixctl=\(folder)/vswitchd.ctl", "--no-chdir"],
                environment: environment.merging(site.environment("peer")) { $1 }, folder: site.folder)
        } catch {
            database.end()
            throw error
        }
        do { try program(peer, folder, socket) } catch {
            let text = running.log()
            end()
            throw MeasureError(description: "\(error); \(text)")
        }
    }

    /// Bridges and rules first, ports last: packets come as soon as net_null0 is there.
    private func program(_ peer: OpenVSwitch, _ folder: String, _ socket: String) throws {
        try Self.wait("ovs-vswitchd") { [running] in
            try running.check()
            return FileManager.default.fileExists(atPath: "\(folder)/vswitchd.ctl")
        }
        func vsctl(_ words: [String]) throws { try command(["ovs-vsctl", "--db=\(socket)", "--timeout=60"] + words, environment: environment) }
        func bridge(_ name: String) throws {
            try vsctl([
                "--", "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail_mode=secure",
                "other-config:hwaddr=02:00:00:00:0f:01",
            ])
        }
        func port(_ bridge: String, _ name: String, _ number: Int, _ device: String) throws {
            // The MTU makes the buffers larger than a page: see `Site.bufferSize`.
            try vsctl([
                "--", "add-port", bridge, name, "--", "set", "interface", name, "type=dpdk", "options:dpdk-devargs=\(device)",
                "ofport_request=\(number)",
                "mtu_request=4000",
            ])
        }
        try bridge("vrb-int")
        var inside = "vrb-int", outside = "vrb-int"
        switch peer.pipeline {
        case .push, .pop:
            try bridge("vrb-phy")
            if case .push = peer.pipeline { outside = "vrb-phy" } else { inside = "vrb-phy" }
            try vsctl([
                "--", "add-port", "vrb-int", "vx9", "--", "set", "interface", "vx9", "type=vxlan", "options:remote_ip=\(Program.peer)",
                "options:local_ip=\(Program.node)", "options:key=\(Program.vni)", "ofport_request=9",
            ])
            let enter = ["nsenter", "--target", "\(running.pid)", "--net", "ip"]
            try command(enter + ["address", "add", "\(Program.node)/24", "dev", "vrb-phy"])
            try command(enter + ["link", "set", "vrb-phy", "up"])
            try control(["tnl/neigh/set", "vrb-phy", "\(Program.peer)", "02:00:00:00:0f:02"])
            try openFlow(["in_port=LOCAL,actions=output:2", "in_port=1,actions=LOCAL"], [], "vrb-phy", folder)
        default: break
        }
        let rules = peer.rules
        try openFlow(rules.flows, rules.groups, "vrb-int", folder)
        if case .committed = peer.pipeline { try makeRoom(connections: 4_000_000) }
        try port(outside, "p1", 2, Site.output)
        try port(inside, "p0", 1, Site.input)
    }

    @discardableResult func control(_ words: [String]) throws -> String {
        try command(["ovs-appctl", "-t", "\(site.folder)/ovs/vswitchd.ctl"] + words, environment: environment)
    }

    private func openFlow(_ flows: [String], _ groups: [String], _ bridge: String, _ folder: String) throws {
        let management = "unix:\(folder)/\(bridge).mgmt"
        if !groups.isEmpty {
            try groups.joined(separator: "\n").write(toFile: "\(folder)/groups", atomically: true, encoding: .utf8)
            try command(["ovs-ofctl", "-O", "OpenFlow15", "add-groups", management, "\(folder)/groups"], environment: environment)
        }
        try (flows.joined(separator: "\n") + "\n").write(toFile: "\(folder)/flows", atomically: true, encoding: .utf8)
        try command(["ovs-ofctl", "-O", "OpenFlow15", "add-flows", management, "\(folder)/flows"], environment: environment)
    }

    private static func wait(_ what: String, until isReady: () throws -> Bool) throws {
        for _ in 0..<1000 {
            if try isReady() { return }
            Thread.sleep(forTimeInterval: 0.02)
        }
        throw MeasureError(description: "\(what) does not get ready")
    }

    func end() {
        running.end()
        database.end()
        try? FileManager.default.removeItem(atPath: site.folder + "/ovs")
    }
}
