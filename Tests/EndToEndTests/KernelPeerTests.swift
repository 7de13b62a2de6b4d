import Foundation
import Testing

extension EndToEnd {
    /// Linux's own VXLAN device on the other side of the fabric, and no agent: the router has its tables from its configuration file.
    ///
    ///     work 10.1.0.10 ── vrouter 10.0.0.11 ══ VXLAN, VNI 5001 ══ 10.0.0.12 vxlan0 ── bridge ── guest 10.1.0.20
    @Suite final class KernelPeer {
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
                // 9216 octets on the fabric carry a workload's 9000 with the tunnel's 50.
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
            ["ip", "netns", "exec", "e2e-kernel-\(namespace)"] + command
        }
        private static func removeNamespaces() {
            for name in namespaces { _ = try? Shell.run(["ip", "netns", "delete", "e2e-kernel-\(name)"]) }
        }

        /// The kernel's side learns nothing and floods nothing: its forwarding and neighbour entries are given.
        private static let network = """
            for ns in router work kernel guest; do ip netns add e2e-kernel-$ns; ip -n e2e-kernel-$ns link set lo up; done
            for ns in router kernel; do ip netns exec e2e-kernel-$ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; done
            ip link add fabric0 netns e2e-kernel-router mtu 9216 type veth peer name underlay netns e2e-kernel-kernel mtu 9216
            ip link add tap-work netns e2e-kernel-router mtu 9000 type veth peer name eth0 netns e2e-kernel-work address 02:00:00:00:01:0a mtu 9000
            ip link add port netns e2e-kernel-kernel mtu 9000 type veth peer name eth0 netns e2e-kernel-guest address 02:00:00:00:01:14 mtu 9000
            ip -n e2e-kernel-router link set fabric0 up
            ip -n e2e-kernel-router link set tap-work up
            ip -n e2e-kernel-kernel link set underlay up
            ip -n e2e-kernel-kernel address add 10.0.0.12/24 dev underlay
            ip -n e2e-kernel-kernel link add vxlan0 mtu 9000 type vxlan id 5001 local 10.0.0.12 dstport 4789 nolearning dev underlay
            ip -n e2e-kernel-kernel link add bridge mtu 9000 type bridge
            for link in vxlan0 port; do ip -n e2e-kernel-kernel link set $link master bridge up; done
            ip -n e2e-kernel-kernel link set bridge up
            bridge -n e2e-kernel-kernel fdb add 02:00:00:00:01:0a dev vxlan0 dst 10.0.0.11 self
            bridge -n e2e-kernel-kernel fdb add 02:00:00:00:01:0a dev vxlan0 master static
            for side in "work 10 20 14" "guest 20 10 0a"; do
                set -- $side
                ip -n e2e-kernel-$1 link set eth0 up
                ip -n e2e-kernel-$1 address add 10.1.0.$2/24 dev eth0
                ip -n e2e-kernel-$1 address add fd00:1::$2/64 dev eth0 nodad
            done
            for address in 10.1.0.10 fd00:1::10; do ip -n e2e-kernel-guest neighbour add $address lladdr 02:00:00:00:01:0a dev eth0; done
            """

        private static func tables(_ socket: String, fabric: String, kernel: String) -> String {
            """
            api: {socket: \(socket)}
            objects:
              ports: [{name: fabric, pcap: {interface: fabric0}}, {name: work, pcap: {interface: tap-work}}]
              vrfs: [{id: 0, name: fabric}, {id: 1, name: blue}]
              vifs:
                - {id: 0, name: fabric0, kind: physical, port: fabric, mac: "\(fabric)", addresses: [10.0.0.11]}
                - {id: 3, name: tap-work, kind: virtual, port: work, vrf: 1, mac: "00:00:5e:00:01:00", addresses: [10.1.0.1, "fd00:1::1"],
                   workloadMAC: "02:00:00:00:01:0a", workloadAddresses: [10.1.0.10, "fd00:1::10"], keepsFlows: true}
              nextHops:
                - {id: 1, encap: {vif: 3, destination: "02:00:00:00:01:0a"}}
                - {id: 2, encap: {vif: 3}}
                - {id: 3, tunnel: {encapsulation: vxlan, source: 10.0.0.11, destination: 10.0.0.12, vif: 0,
                    destinationMAC: "\(kernel)", sourceMAC: "\(fabric)"}}
                - {id: 4, vrf: {id: 1, bridges: true}}
                - {id: 5, receive: {vif: 0}}
              routes:
                - {vrf: 0, prefix: 10.0.0.11/32, nextHop: 5, proxies: true}
                - {vrf: 1, prefix: 10.1.0.10/32, nextHop: 1, proxies: true, mac: "02:00:00:00:01:0a"}
                - {vrf: 1, prefix: "fd00:1::10/128", nextHop: 1, proxies: true, mac: "02:00:00:00:01:0a"}
                - {vrf: 1, prefix: 10.1.0.20/32, nextHop: 3, label: 5001, proxies: true, mac: "02:00:00:00:01:14"}
                - {vrf: 1, prefix: "fd00:1::20/128", nextHop: 3, label: 5001, proxies: true, mac: "02:00:00:00:01:14"}
              bridge:
                - {vrf: 1, mac: "02:00:00:00:01:0a", nextHop: 2}
                - {vrf: 1, mac: "02:00:00:00:01:14", nextHop: 3, label: 5001}
              vnis: [{vni: 5001, nextHop: 4}]

            """
        }

        private func ping(_ namespace: String, _ address: String, _ options: String...) throws {
            let words = ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "2"] + options + [address]
            let ping = try Lab.readPing(Shell.run(Self.inside(namespace, words)).both)
            #expect(ping.received == 3, "\(namespace) -> \(address): \(ping.text)")
        }
        private func kernelCount(_ counter: String) throws -> Int {
            let text = try Shell.succeed(Self.inside("kernel", ["cat", "/sys/class/net/vxlan0/statistics/\(counter)"]))
            return Int(text.trimmingCharacters(in: .newlines)) ?? -1
        }
        private func view() throws -> DataplaneView {
            let text = try Shell.run([Place.program("vrctl"), "--socket", socket, "status", "dataplane", "-o", "json"]).output
            guard let details = try decode(StatusView.self, text).dataplane.details else { throw Failure("no data plane: \(text)") }
            return details
        }
        private func expectSound() throws {
            #expect(router.isRunning, "vrouter has ended: \(router.errors)")
            #expect(try view().counters.isBalanced)
            // Not tx_dropped: this kernel has nowhere to flood to, and says so of its own multicast.
            for counter in ["rx_errors", "tx_errors", "rx_dropped"] { #expect(try kernelCount(counter) == 0, "vxlan0 \(counter)") }
        }

        @Test func pingBothWays() throws {
            let before = try (kernelCount("rx_packets"), kernelCount("tx_packets"))
            for (work, guest) in [("10.1.0.10", "10.1.0.20"), ("fd00:1::10", "fd00:1::20")] {
                try ping("work", guest)
                try ping("guest", work)
            }
            // The kernel took our packets for VXLAN of this VNI, and we took its: 12 of each at least.
            #expect(try kernelCount("rx_packets") - before.0 >= 12)
            #expect(try kernelCount("tx_packets") - before.1 >= 12)
            try expectSound()
        }

        /// As large as the fabric takes, unfragmented; and larger than a workload sends at once, in fragments.
        @Test func largePackets() throws {
            try ping("work", "10.1.0.20", "-M", "do", "-s", "8972")
            try ping("guest", "10.1.0.10", "-M", "do", "-s", "8972")
            try ping("work", "fd00:1::20", "-M", "do", "-s", "8952")
            try ping("guest", "fd00:1::10", "-M", "do", "-s", "8952")
            try ping("work", "10.1.0.20", "-s", "20000")
            try ping("guest", "fd00:1::10", "-s", "20000")
            try expectSound()
        }

        /// Segmentation and checksum offload are on at every interface, as Linux has them from the start.
        @Test(arguments: [
            ("work", "guest", "10.1.0.20"), ("guest", "work", "10.1.0.10"), ("work", "guest", "fd00:1::20"), ("guest", "work", "fd00:1::10"),
        ])
        func tcp(_ sender: String, _ receiver: String, _ address: String) throws {
            let counter = sender == "work" ? "rx_bytes" : "tx_bytes"
            let before = try kernelCount(counter)
            try transfer(from: Self.inside(sender, []), to: Self.inside(receiver, []), address, 16, 5001, #_sourceLocation)
            let octets = try kernelCount(counter) - before
            #expect(octets > 16 << 20, "vxlan0 \(counter): \(octets)")
            try expectSound()
        }
    }
}
