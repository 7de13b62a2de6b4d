import Foundation
import Testing

extension EndToEnd {
    /// As `KernelPeer`, over an IPv6 fabric. The kernel is told to take UDP without a checksum (RFC 6935), as the router sends it, and sends with one, which the router
    /// verifies. The router takes tunnel packets from known endpoints only, and holds routed ones to a reverse path.
    ///
    ///     work 10.1.0.10 ── vrouter fd00::11 ══ VXLAN, VNI 5001 ══ fd00::12 vxlan0 ── bridge ── guest 10.1.0.20
    @Suite final class KernelPeerIPv6 {
        private let scratch: TemporaryDirectory
        private let router: Background
        private let socket: String
        private static let namespaces = ["router", "work", "kernel", "guest"]

        init() throws {
            try Place.checkRequirements()
            scratch = try TemporaryDirectory()
            socket = scratch.path + "/dataplane.sock"
            Self.removeNamespaces()
            do {
                try Shell.succeed(["bash", "-c", "set -euo pipefail\n" + Self.network])
                let fabric = try Shell.succeed(Self.inside("router", ["cat", "/sys/class/net/fabric0/address"])).trimmingCharacters(in: .newlines)
                let kernel = try Shell.succeed(Self.inside("kernel", ["cat", "/sys/class/net/underlay/address"])).trimmingCharacters(in: .newlines)
                let file = try scratch.write("vrouter.yaml", Self.tables(socket, fabric: fabric, kernel: kernel))
                router = try Background(Self.inside("router", [Place.program("vrouter"), "--config", file]))
                let (socket, router) = (socket, router)
                try eventually("vrouter's socket") {
                    guard router.isRunning else { throw Failure("vrouter: \(router.errors)") }
                    return FileManager.default.fileExists(atPath: socket)
                }
                // The kernel asks for the router's address before its first packet goes.
                try eventually("the first answer") {
                    try Shell.run(Self.inside("work", ["ping", "-n", "-c", "1", "-W", "1", "10.1.0.20"])).status == 0
                }
            } catch {
                Self.removeNamespaces()
                throw error
            }
        }

        deinit {
            router.end()
            Self.removeNamespaces()
        }

        private static func inside(_ namespace: String, _ command: [String]) -> [String] {
            ["ip", "netns", "exec", "e2e-kernel6-\(namespace)"] + command
        }
        private static func removeNamespaces() {
            for name in namespaces { _ = try? Shell.run(["ip", "netns", "delete", "e2e-kernel6-\(name)"]) }
        }

        private static let network = """
            for ns in router work kernel guest; do ip netns add e2e-kernel6-$ns; ip -n e2e-kernel6-$ns link set lo up; done
            ip netns exec e2e-kernel6-router sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
            ip link add fabric0 netns e2e-kernel6-router mtu 1600 type veth peer name underlay netns e2e-kernel6-kernel mtu 1600
            ip link add tap-work netns e2e-kernel6-router mtu 1500 type veth peer name eth0 netns e2e-kernel6-work address 02:00:00:00:01:0a mtu 1500
            ip link add port netns e2e-kernel6-kernel mtu 1500 type veth peer name eth0 netns e2e-kernel6-guest address 02:00:00:00:01:14 mtu 1500
            ip -n e2e-kernel6-router link set fabric0 up
            ip -n e2e-kernel6-router link set tap-work up
            ip -n e2e-kernel6-kernel link set underlay up
            ip -n e2e-kernel6-kernel address add fd00::12/64 dev underlay nodad
            ip -n e2e-kernel6-kernel link add vxlan0 mtu 1500 type vxlan id 5001 local fd00::12 dstport 4789 nolearning udp6zerocsumrx dev underlay
            ip -n e2e-kernel6-kernel link add bridge mtu 1500 type bridge
            for link in vxlan0 port; do ip -n e2e-kernel6-kernel link set $link master bridge up; done
            ip -n e2e-kernel6-kernel link set bridge up
            bridge -n e2e-kernel6-kernel fdb add 02:00:00:00:01:0a dev vxlan0 dst fd00::11 self
            bridge -n e2e-kernel6-kernel fdb add 02:00:00:00:01:0a dev vxlan0 master static
            for side in "work 10" "guest 20"; do
                set -- $side
                ip -n e2e-kernel6-$1 link set eth0 up
                ip -n e2e-kernel6-$1 address add 10.1.0.$2/24 dev eth0
                ip -n e2e-kernel6-$1 address add fd00:1::$2/64 dev eth0 nodad
            done
            for address in 10.1.0.10 fd00:1::10; do ip -n e2e-kernel6-guest neighbour add $address lladdr 02:00:00:00:01:0a dev eth0; done
            """

        private static func tables(_ socket: String, fabric: String, kernel: String) -> String {
            """
            api: {socket: \(socket)}
            objects:
              ports: [{name: fabric, pcap: {interface: fabric0}}, {name: work, pcap: {interface: tap-work}}]
              vrfs: [{id: 0, name: fabric}, {id: 1, name: blue}]
              vifs:
                - {id: 0, name: fabric0, kind: physical, port: fabric, mac: "\(fabric)", addresses: ["fd00::11"], checksTunnelSource: true,
                   reversePath: strict}
                - {id: 3, name: tap-work, kind: virtual, port: work, vrf: 1, mac: "00:00:5e:00:01:00", addresses: [10.1.0.1, "fd00:1::1"],
                   workloadMAC: "02:00:00:00:01:0a", workloadAddresses: [10.1.0.10, "fd00:1::10"], keepsFlows: true, sendsUnreachables: true}
              nextHops:
                - {id: 1, encap: {vif: 3, destination: "02:00:00:00:01:0a"}}
                - {id: 2, encap: {vif: 3}}
                - {id: 3, tunnel: {encapsulation: vxlan, source: "fd00::11", destination: "fd00::12", vif: 0,
                    destinationMAC: "\(kernel)", sourceMAC: "\(fabric)"}}
                - {id: 4, vrf: {id: 1, bridges: true}}
                - {id: 6, indirect: 3}
              routes:
                - {vrf: 1, prefix: 10.1.0.10/32, nextHop: 1, proxies: true, mac: "02:00:00:00:01:0a"}
                - {vrf: 1, prefix: "fd00:1::10/128", nextHop: 1, proxies: true, mac: "02:00:00:00:01:0a"}
                - {vrf: 1, prefix: 10.1.0.20/32, nextHop: 6, label: 5001, proxies: true, mac: "02:00:00:00:01:14"}
                - {vrf: 1, prefix: "fd00:1::20/128", nextHop: 6, label: 5001, proxies: true, mac: "02:00:00:00:01:14"}
              bridge:
                - {vrf: 1, mac: "02:00:00:00:01:0a", nextHop: 2}
                - {vrf: 1, mac: "02:00:00:00:01:14", nextHop: 6, label: 5001}
              vnis: [{vni: 5001, nextHop: 4}]

            """
        }

        private func ping(_ namespace: String, _ address: String, _ options: String...) throws {
            let words = ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "2"] + options + [address]
            let ping = try Lab.readPing(Shell.run(Self.inside(namespace, words)).both)
            #expect(ping.received == 3, "\(namespace) -> \(address): \(ping.text)")
        }
        private func expectSound() throws {
            #expect(router.isRunning, "vrouter has ended: \(router.errors)")
            let text = try Shell.run([Place.program("vrctl"), "--socket", socket, "status", "dataplane", "-o", "json"]).output
            let details = try decode(StatusView.self, text).dataplane.details
            #expect(details?.counters.isBalanced == true)
            let drops = try Shell.succeed([Place.program("vrctl"), "--socket", socket, "dropstats"])
            for reason in ["Checksum errors", "Fragment errors", "Invalid Source", "No Fragment Entries", "Invalid Packets"] {
                #expect(!drops.split(separator: "\n").contains { $0.hasPrefix(reason) && !$0.hasSuffix(" 0") }, "\(drops)")
            }
        }

        @Test func pingBothWays() throws {
            for (work, guest) in [("10.1.0.10", "10.1.0.20"), ("fd00:1::10", "fd00:1::20")] {
                try ping("work", guest)
                try ping("guest", work)
            }
            try expectSound()
        }

        /// Larger than a workload sends at once.
        @Test func fragments() throws {
            try ping("work", "10.1.0.20", "-s", "4000")
            try ping("guest", "10.1.0.10", "-s", "20000")
            try ping("work", "fd00:1::20", "-s", "4000")
            try ping("guest", "fd00:1::10", "-s", "20000")
            try expectSound()
        }

        /// The kernel leaves checksums and segmentation to the device, outer ones too.
        @Test(arguments: [("work", "guest", "10.1.0.20"), ("guest", "work", "fd00:1::10")])
        func tcp(_ sender: String, _ receiver: String, _ address: String) throws {
            try transfer(from: Self.inside(sender, []), to: Self.inside(receiver, []), address, 8, 5001, #_sourceLocation)
            try expectSound()
        }

        /// DSCP 46 and ECT(1) of the inner packet are seen on the outer one (RFC 2983, RFC 6040); the flow label and the port are the flow's.
        @Test func dscpAndECNOnTheWire() throws {
            let file = scratch.path + "/underlay.pcap"
            let capture = try Background(Self.inside("kernel", ["tshark", "-q", "-i", "underlay", "-w", file]))
            try eventually("the capture") { capture.errors.contains("Capturing") }
            Thread.sleep(forTimeInterval: 1)
            try ping("work", "10.1.0.20", "-Q", "0xB9")
            Thread.sleep(forTimeInterval: 1)
            capture.end(SIGINT)
            let fields = ["ipv6.tclass", "ipv6.flow", "ipv6.hlim", "udp.checksum", "vxlan.vni", "ip.dsfield", "ip.ttl"].flatMap { ["-e", $0] }
            let text = try Shell.succeed(["tshark", "-r", file, "-Y", "ipv6.src == fd00::11 && vxlan && icmp", "-T", "fields"] + fields)
            let lines = text.split(separator: "\n").map { $0.split(separator: "\t").map(String.init) }
            #expect(lines.count == 3)
            for line in lines {
                try #require(line.count == 7, "\(text)")
                #expect(Int(line[0].dropFirst(2), radix: 16) == 0xB9 && Int(line[1].dropFirst(2), radix: 16) != 0)
                #expect(line[2] == "64" && line[3] == "0x0000" && line[4] == "5001" && line[5] == "0xb9" && line[6] == "64")
            }
            #expect(Set(lines.map { $0[1] }).count == 1)
        }
    }

    /// MPLS over UDP and over GRE on an IPv6 fabric, from a capture file to a capture file, read by tshark.
    @Suite struct MPLSOverIPv6 {
        @Test(arguments: [("mplsOverUDP", "udp.dstport", "6635"), ("mplsOverGRE", "gre.proto", "0x8847")])
        func isWhatTsharkReads(_ encapsulation: String, _ field: String, _ value: String) throws {
            try Place.checkRequirements()
            let scratch = try TemporaryDirectory()
            try Shell.succeed([
                Place.python, "-c",
                """
                from scapy.all import *
                wrpcap('\(scratch.path)/in.pcap', Ether(dst='00:00:5e:00:01:00', src='02:00:00:00:01:0a') / IP(src='10.1.0.10', dst='10.3.0.9', tos=0xb9) / UDP(sport=1, dport=2) / b'payload')
                """,
            ])
            let file = try scratch.write(
                "vrouter.yaml",
                """
                api: none
                objects:
                  ports: [{name: fabric, pcapFile: {output: \(scratch.path)/out.pcap}}, {name: work, pcapFile: {input: \(scratch.path)/in.pcap}}]
                  vrfs: [{id: 1, name: blue}]
                  vifs:
                    - {id: 0, name: fabric0, kind: physical, port: fabric, mac: "02:00:00:00:0f:01", addresses: ["fd00::11"]}
                    - {id: 3, name: work, kind: virtual, port: work, vrf: 1, mac: "00:00:5e:00:01:00"}
                  nextHops:
                    - {id: 3, tunnel: {encapsulation: \(encapsulation), source: "fd00::11", destination: "fd00::12", vif: 0,
                        destinationMAC: "02:00:00:00:0f:02", sourceMAC: "02:00:00:00:0f:01"}}
                    - {id: 7, ecmp: {members: [{nextHop: 3, label: 77}], hash: [source, destination]}}
                  routes: [{vrf: 1, prefix: 10.3.0.0/24, nextHop: 7}]

                """)
            try Shell.succeed([Place.program("vrouter"), "--config", file])
            let fields = ["ipv6.src", "ipv6.dst", "ipv6.tclass", field, "mpls.label", "mpls.bottom", "mpls.ttl", "ip.dst", "ip.ttl"]
                .flatMap { ["-e", $0] }
            let text = try Shell.succeed(["tshark", "-r", scratch.path + "/out.pcap", "-T", "fields"] + fields)
            let line = text.trimmingCharacters(in: .newlines).split(separator: "\t").map(String.init)
            try #require(line.count == 9, "\(text)")
            #expect(
                line[0] == "fd00::11" && line[1] == "fd00::12" && Int(line[2].dropFirst(2), radix: 16) == 0xB9
                    && line[3].split(separator: ",").first.map(String.init) == value)
            #expect(line[4] == "77" && line[5] == "1" && line[6] == "64" && line[7] == "10.3.0.9" && line[8] == "63")
        }
    }
}
