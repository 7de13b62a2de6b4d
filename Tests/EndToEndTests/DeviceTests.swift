import Foundation
import Testing

extension EndToEnd {
    /// Every kind of device a port can be, with real traffic through it, and what becomes of it when its other side goes and comes back.
    @Suite struct Devices {
        /// A virtual machine's network interface: the guest goes and comes back while the router runs.
        @Test func vhostUser() throws {
            let bench = try DeviceBench("vhost", "r", "g", "w")
            try bench.start(
                "r", in: "r", ports: ("dpdk: {device: \"net_vhost0,iface=\(bench.path("v.sock"))\"}", "dpdk: {device: \"net_tap0,iface=t2\"}"))
            try bench.adopt(2, "t2", from: "r", to: "w")
            #expect(try bench.list("r").contains("Link:Down"))
            for _ in 0..<2 {
                let guest = try bench.startGuest(in: "g", device: "net_virtio_user0,path=\(bench.path("v.sock"))", interface: "g0")
                try bench.settle(1, "g0", in: "g")
                try bench.waitForLink("r", 1, "up")
                try bench.expectTraffic("g", "w")
                guest.end()
                try bench.waitForLink("r", 1, "down")
                // What is sent to a guest that is not there is dropped, and counted.
                let before = try bench.vif("r", 1).statistics.txErrors
                _ = try Shell.run(bench.inside("w", ["ping", "-n", "-c", "2", "-i", "0.1", "-W", "0.2", DeviceBench.address(1)]))
                #expect(try bench.vif("r", 1).statistics.txErrors > before)
            }
            try bench.expectSound("r")
        }

        /// Two workers and two queue pairs, of which this guest enables one.
        @Test func vhostUserWithQueues() throws {
            let bench = try DeviceBench("vhostq", "r", "g", "w")
            try bench.start(
                "r", in: "r",
                ports: (
                    "dpdk: {device: \"net_vhost0,iface=\(bench.path("v.sock"))\"}, queues: 2", "dpdk: {device: \"net_tap0,iface=t2\"}, queues: 2"
                ),
                workers: 2)
            try bench.adopt(2, "t2", from: "r", to: "w")
            for id in 1...2 { #expect(try bench.vif("r", id).receiveQueues == 2) }
            for queues in [1, 2] {
                let guest = try bench.startGuest(
                    in: "g", device: "net_virtio_user0,path=\(bench.path("v.sock")),queues=\(queues)", interface: "g0")
                try bench.settle(1, "g0", in: "g")
                try bench.waitForLink("r", 1, "up")
                try bench.expectTraffic("g", "w", mebibytes: 4)
                guest.end()
                try bench.waitForLink("r", 1, "down")
            }
            try bench.expectSound("r")
        }

        /// Two routers over shared memory. Each end is restarted; the client is there before its server, too.
        @Test func memif() throws {
            let bench = try DeviceBench("memif", "a", "b", "w1", "w2")
            func start(_ router: String) throws {
                let memif = { (role: String) in "dpdk: {device: \"net_memif0,role=\(role),socket=\(bench.path("m.sock"))\"}, queues: 2" }
                if router == "a" {
                    try bench.start("a", in: "a", ports: ("dpdk: {device: \"net_tap0,iface=t1\"}", memif("server")))
                    try bench.adopt(1, "t1", from: "a", to: "w1")
                } else {
                    try bench.start("b", in: "b", ports: (memif("client"), "dpdk: {device: \"net_tap0,iface=t2\"}"))
                    try bench.adopt(2, "t2", from: "b", to: "w2")
                }
            }
            try start("b")
            #expect(try bench.vif("b", 1).link == "down")
            try start("a")
            try bench.waitForLink("a", 2, "up")
            try bench.waitForLink("b", 1, "up")
            try bench.expectTraffic("w1", "w2")
            for router in ["a", "b", "a"] {
                bench.stop(router)
                let (other, vif) = router == "a" ? ("b", 1) : ("a", 2)
                try bench.waitForLink(other, vif, "down")
                try start(router)
                try bench.waitForLink(other, vif, "up")
                try bench.expectTraffic("w1", "w2", mebibytes: 2)
            }
            try bench.expectSound("a")
            try bench.expectSound("b")
        }

        /// XDP sockets on a veth. (Without a BPF file system libxdp says that it goes without its dispatcher.)
        @Test func afXDP() throws {
            let bench = try DeviceBench("xdp", "r", "w1", "w2")
            for number in 1...2 {
                try Shell.succeed([
                    "ip", "link", "add", "x\(number)", "netns", bench.full("r"), "type", "veth", "peer", "name", "eth0", "netns",
                    bench.full("w\(number)"),
                ])
                try bench.settle(number, "eth0", in: "w\(number)")
            }
            try bench.start("r", in: "r", ports: ("dpdk: {device: \"net_af_xdp0,iface=x1\"}", "dpdk: {device: \"net_af_xdp1,iface=x2\"}"))
            try bench.waitForLink("r", 1, "up")
            try bench.expectTraffic("w1", "w2")
            try bench.ip("w1", "link set eth0 down")
            try bench.waitForLink("r", 1, "down")
            try bench.ip("w1", "link set eth0 up")
            try bench.waitForLink("r", 1, "up")
            try bench.expectPing(from: "w2", to: 1)
            try bench.expectSound("r")
        }

        /// Several queues of a kernel interface, several workers: the streams of a parallel transfer spread over them.
        @Test func tapWithQueues() throws {
            let bench = try DeviceBench("tapq", "r", "w1", "w2")
            try bench.start(
                "r", in: "r", ports: ("dpdk: {device: \"net_tap0,iface=t1\"}, queues: 2", "dpdk: {device: \"net_tap1,iface=t2\"}, queues: 2"),
                workers: 2)
            for number in 1...2 {
                try bench.adopt(number, "t\(number)", from: "r", to: "w\(number)")
                #expect(try bench.vif("r", number).receiveQueues == 2)
            }
            // The interfaces are in other namespaces now, and their link is still told.
            try bench.waitForLink("r", 1, "up")
            try bench.ip("w1", "link set t1 down")
            try bench.waitForLink("r", 1, "down")
            try bench.ip("w1", "link set t1 up")
            try bench.waitForLink("r", 1, "up")
            try bench.expectTraffic("w1", "w2", mebibytes: 4)
            let server = try Background(bench.inside("w2", ["iperf3", "-s", "-1"]))
            try eventually("iperf3 listening") { try !Shell.succeed(bench.inside("w2", ["ss", "-ltnH", "sport = :5201"])).isEmpty }
            let text = try Shell.succeed(bench.inside("w1", ["iperf3", "-c", DeviceBench.address(2), "-P", "4", "-n", "16M", "-J"]), limit: 60)
            #expect(text.contains("\"sum_received\""))
            try server.ended(within: 10)
            try bench.expectSound("r")
        }

        /// Active and backup: when the active member loses its link the other carries on, and nobody restarts anything.
        @Test func bondFailsOver() throws {
            let bench = try DeviceBench("bond", "r", "w")
            try bench.start(
                "r", in: "r",
                ports: (
                    "dpdk: {device: \"net_bonding0,mode=1\", members: [\"net_tap5,iface=b0\", \"net_tap6,iface=b1\"]}",
                    "dpdk: {device: \"net_tap0,iface=t2\"}"
                ))
            try bench.adopt(2, "t2", from: "r", to: "w")
            // Both members end at one switch, as cables of one bond do; it has the first workload's address.
            try bench.ip("r", "link add name bridge0 type bridge")
            for member in ["b0", "b1"] { try bench.ip("r", "link set \(member) master bridge0") }
            try bench.settle(1, "bridge0", in: "r")
            try bench.waitForLink("r", 1, "up")
            try bench.expectTraffic("r", "w", mebibytes: 4)
            for member in ["b0", "b1"] {
                try bench.ip("r", "link set \(member) down")
                // The workload speaks first: its frames show the switch the new way.
                try bench.expectPing(from: "w", to: 1)
                #expect(try bench.vif("r", 1).link == "up")
                try bench.expectTraffic("r", "w", mebibytes: 2)
                try bench.ip("r", "link set \(member) up")
            }
            for member in ["b0", "b1"] { try bench.ip("r", "link set \(member) down") }
            try bench.waitForLink("r", 1, "down")
            try bench.ip("r", "link set b1 up")
            try bench.waitForLink("r", 1, "up")
            try bench.expectPing(from: "w", to: 1)
            try bench.expectSound("r")
        }

        /// An interface that is taken down, deleted and made again, while the router runs and says so.
        @Test func aLiveInterfaceComesAndGoes() throws {
            let bench = try DeviceBench("live", "r", "w1", "w2")
            func plug(_ number: Int) throws {
                let veth = ["netns", bench.full("r"), "type", "veth", "peer", "name", "eth0", "netns", bench.full("w\(number)")]
                try Shell.succeed(["ip", "link", "add", "v\(number)"] + veth)
                try bench.settle(number, "eth0", in: "w\(number)")
            }
            for number in 1...2 { try plug(number) }
            try bench.start("r", in: "r", ports: ("pcap: {interface: v1}", "pcap: {interface: v2}"))
            try bench.waitForLink("r", 1, "up")
            try bench.expectTraffic("w1", "w2")
            try bench.ip("r", "link set v1 down")
            try bench.waitForLink("r", 1, "down")
            try bench.ip("r", "link set v1 up")
            try bench.waitForLink("r", 1, "up")
            try bench.expectPing(from: "w2", to: 1)
            for _ in 0..<2 {
                try bench.ip("r", "link delete v1")
                try bench.waitForLink("r", 1, "absent")
                try plug(1)
                try bench.waitForLink("r", 1, "up")
                try bench.expectPing(from: "w2", to: 1)
            }
            try bench.expectTraffic("w1", "w2", mebibytes: 4)
            // TCP reached the second workload in packets of up to 64 KiB: far fewer than a segment each.
            let sent = try bench.vif("r", 2).statistics
            #expect(sent.txBytes / max(1, sent.txPackets) > 3000, "\(sent)")
            try bench.expectSound("r")
        }

        /// Datagrams that a sender's kernel leaves in one packet (UDP_SEGMENT) arrive as datagrams.
        @Test func datagramsThatAKernelLeftUncut() throws {
            let bench = try DeviceBench("uso", "r", "w1", "w2")
            for number in 1...2 {
                let veth = ["netns", bench.full("r"), "type", "veth", "peer", "name", "eth0", "netns", bench.full("w\(number)")]
                try Shell.succeed(["ip", "link", "add", "v\(number)"] + veth)
                try bench.settle(number, "eth0", in: "w\(number)")
            }
            try bench.start("r", in: "r", ports: ("pcap: {interface: v1}", "pcap: {interface: v2}"))
            try bench.expectPing(from: "w1", to: 2)
            // Twenty of 1000 octets, each filled with its number, and one of 500.
            let receiver = try Background(
                bench.inside(
                    "w2",
                    [
                        Place.python, "-u", "-c",
                        """
                        import socket
                        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.9.0.2", 9000)); s.settimeout(10); print("ready")
                        for n in range(21):
                            d = s.recv(9000); assert d == bytes([n]) * (1000 if n < 20 else 500), (n, len(d), d[:4])
                        print("all")
                        """,
                    ]))
            try eventually("the receiver") { receiver.output.contains("ready") }
            try Shell.succeed(
                bench.inside(
                    "w1",
                    [
                        Place.python, "-c",
                        """
                        import socket
                        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(17, 103, 1000)
                        s.sendto(b"".join(bytes([n]) * 1000 for n in range(20)) + bytes([20]) * 500, ("10.9.0.2", 9000))
                        """,
                    ]))
            let outcome = try receiver.ended(within: 15)
            #expect(outcome.status == 0 && outcome.output.contains("all"), "\(outcome.both)")
            try bench.expectSound("r")
        }

        /// Kernels on both sides leave TCP packets of up to 64 KiB uncut, and so they cross both routers: the guest's driver and the host's have agreed on it.
        /// Then the guest is replaced by one that takes no such packets, and the host cuts.
        @Test func largePacketsBetweenHostAndGuest() throws {
            let bench = try DeviceBench("large", "a", "b", "w1", "w2", "g")
            for (router, number) in [("a", 1), ("b", 2)] {
                let veth = ["netns", bench.full(router), "type", "veth", "peer", "name", "eth0", "netns", bench.full("w\(number)")]
                try Shell.succeed(["ip", "link", "add", "v\(number)"] + veth)
                try bench.settle(number, "eth0", in: "w\(number)")
            }
            try bench.start("a", in: "a", ports: ("pcap: {interface: v1}", "dpdk: {device: \"net_vhost0,iface=\(bench.path("v.sock")),tso=1\"}"))
            try bench.start("b", in: "b", ports: ("dpdk: {device: \"net_virtio_user0,path=\(bench.path("v.sock"))\"}", "pcap: {interface: v2}"))
            try bench.waitForLink("a", 2, "up")
            // The guest's own side of the link comes up a moment later.
            try bench.expectPing(from: "w1", to: 2)
            try bench.expectTraffic("w1", "w2", mebibytes: 16)
            // Octets per packet, each way, on the memory between the two.
            for (router, vif) in [("a", 2), ("b", 1)] {
                let statistics = try bench.vif(router, vif).statistics
                #expect(statistics.txBytes / max(1, statistics.txPackets) > 3000, "\(router): \(statistics)")
                #expect(statistics.rxBytes / max(1, statistics.rxPackets) > 3000, "\(router): \(statistics)")
            }
            try bench.expectSound("b")
            bench.stop("b")
            try bench.waitForLink("a", 2, "down")

            let before = try bench.vif("a", 2).portStatistics.txPackets
            let guest = try bench.startGuest(in: "g", device: "net_virtio_user0,path=\(bench.path("v.sock"))", interface: "g0")
            try bench.settle(2, "g0", in: "g")
            try bench.waitForLink("a", 2, "up")
            try bench.expectPing(from: "w1", to: 2)
            try bench.expectTraffic("w1", "g", mebibytes: 4)
            // Segments of 1448 octets of data at most.
            #expect(try bench.vif("a", 2).portStatistics.txPackets - before > 4 << 20 / 1448)
            guest.end()
            try bench.expectSound("a")
        }

        /// A device that cuts (net_tap does, in the driver): what the sender's kernel left uncut reaches it whole. Every segment that comes out at the other end is
        /// right, says tshark, and so says the receiver's kernel, which checks: a segment that is damaged on purpose counts there.
        @Test func aDeviceThatCuts() throws {
            let bench = try DeviceBench("tso", "r", "w1", "w2")
            try Shell.succeed([
                "ip", "link", "add", "v1", "netns", bench.full("r"), "type", "veth", "peer", "name", "eth0", "netns", bench.full("w1"),
            ])
            try bench.settle(1, "eth0", in: "w1")
            try bench.start("r", in: "r", ports: ("pcap: {interface: v1}", "dpdk: {device: \"net_tap0,iface=t2\"}"))
            try bench.adopt(2, "t2", from: "r", to: "w2")
            #expect(try bench.vif("r", 2).offloads == ["tx-tcp-segmentation", "rx-unfinished-checksums"])
            try bench.expectPing(from: "w1", to: 2)
            func damaged() throws -> Int {
                let snmp = try Shell.succeed(bench.inside("w2", ["cat", "/proc/net/snmp"])).split(separator: "\n").filter { $0.hasPrefix("Tcp:") }
                let (names, values) = (snmp[0].split(separator: " "), snmp[1].split(separator: " "))
                return try Int(values[#require(names.firstIndex(of: "InCsumErrors"))]) ?? -1
            }
            func uncut() throws -> Int { try bench.vif("r", 2).portStatistics.txUncut }

            let capture = try Background(
                bench.inside("w2", ["tcpdump", "-i", "t2", "-U", "-B", "65536", "-w", bench.path("out.pcap"), "tcp and src 10.9.0.1"]))
            try eventually("tcpdump") { capture.errors.contains("listening on") }
            try bench.expectTraffic("w1", "w2", mebibytes: 16)
            #expect(try uncut() > 100)
            #expect(try damaged() == 0)
            let statistics = try bench.vif("r", 2)
            #expect(statistics.statistics.txErrors == 0 && statistics.portStatistics.txErrors == 0, "\(statistics)")
            capture.end()
            func frames(_ filter: String) throws -> [Substring] {
                try Shell.succeed(
                    ["tshark", "-r", bench.path("out.pcap"), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", filter],
                    limit: 120
                ).split(separator: "\n")
            }
            // Where the sum comes to 0 this driver writes 0xFFFF, as for UDP. Receivers find it right; tshark objects to the spelling.
            let wrong = try frames("(tcp.checksum.status != 1 && tcp.checksum != 0xffff) || ip.checksum.status != 1") + frames("frame.len > 1514")
            #expect(wrong.isEmpty, "\(wrong.prefix(5))")
            // Of 16 MiB, in segments of 1434 octets: the driver takes no larger ones.
            #expect(try frames("tcp.len > 1000 && tcp.len <= 1448").count > 10_000)

            // What the driver cannot cut, the router cuts.
            for (namespace, number, interface) in [("w1", 1, "eth0"), ("w2", 2, "t2")] {
                try Shell.succeed(bench.inside(namespace, ["sysctl", "-qw", "net.ipv6.conf.\(interface).disable_ipv6=0"]))
                try bench.ip(namespace, "address add fd09::\(number)/64 dev \(interface) nodad")
                try bench.ip(namespace, "neigh replace fd09::\(3 - number) lladdr \(DeviceBench.mac(3 - number)) dev \(interface) nud permanent")
            }
            let before = try uncut()
            try transfer(from: bench.inside("w1", []), to: bench.inside("w2", []), "fd09::2", 8, 5003, #_sourceLocation)
            #expect(try uncut() == before)
            #expect(try damaged() == 0)
            #expect(try bench.vif("r", 2).portStatistics.txErrors == 0)

            // A SYN with a wrong checksum.
            try Shell.succeed(
                bench.inside(
                    "w1",
                    [
                        Place.python, "-c",
                        """
                        import socket, struct
                        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
                        s.sendto(struct.pack("!HHIIBBHHH", 4000, 5001, 1, 0, 5 << 4, 2, 1000, 0x1234, 0), ("10.9.0.2", 0))
                        """,
                    ]))
            try eventually("the receiver's kernel to notice") { try damaged() == 1 }
            try bench.expectSound("r")
        }

        /// Ports of five kinds come and go, with two workers, beside a workload on a veth and one on a tap: of what these say to each other not one packet is lost.
        @Test func otherPortsComeAndGo() throws {
            let bench = try DeviceBench("hot", "r", "w1", "w2")
            try Shell.succeed([
                "ip", "link", "add", "v1", "netns", bench.full("r"), "type", "veth", "peer", "name", "eth0", "netns", bench.full("w1"),
            ])
            try bench.settle(1, "eth0", in: "w1")
            try bench.ip("r", "link add v9 type veth peer name v8")
            try bench.ip("r", "link set v8 up")
            try bench.start("r", in: "r", ports: ("pcap: {interface: v1}", "dpdk: {device: \"net_tap0,iface=t2\"}"), workers: 2)
            try bench.adopt(2, "t2", from: "r", to: "w2")
            try bench.expectPing(from: "w1", to: 2)
            let before = try [1, 2].map { try bench.vif("r", $0).statistics }

            let ports = try Background(
                [
                    "env", "PYTHONPATH=\(Place.repository)/docs/api-client", "PYTHONDONTWRITEBYTECODE=1", Place.python, Place.input("hot_ports.py"),
                    bench.socket("r"), "v9", Place.repository + "/configs/pcap-offline-in.pcap",
                ])
            let count = 4000
            let words = ["ping", "-n", "-q", "-c", "\(count)", "-i", "0.002", "-W", "2", DeviceBench.address(2)]
            let ping = try Lab.readPing(Shell.run(bench.inside("w1", words), limit: 60).both)
            #expect(ping.received == count, "\(ping.text)")
            #expect(ports.isRunning, "\(ports.errors)")
            let outcome = ports.end()
            #expect(outcome.status == 0 && Int(outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0 > 20, "\(outcome.both)")
            for (vif, statistics) in zip([1, 2], before) {
                let now = try bench.vif("r", vif).statistics
                #expect(now.drops == statistics.drops && now.txErrors == statistics.txErrors && now.txPackets >= statistics.txPackets + count)
            }
            try bench.expectTraffic("w1", "w2", mebibytes: 4)
            try bench.expectSound("r")
        }

        /// A guest whose driver is our own: net_virtio_user in a second router.
        @Test func aRouterAsGuest() throws {
            let bench = try DeviceBench("guest", "a", "b", "w1", "w2")
            try bench.start(
                "a", in: "a", ports: ("dpdk: {device: \"net_tap0,iface=t1\"}", "dpdk: {device: \"net_vhost0,iface=\(bench.path("v.sock"))\"}"))
            try bench.start(
                "b", in: "b", ports: ("dpdk: {device: \"net_virtio_user0,path=\(bench.path("v.sock"))\"}", "dpdk: {device: \"net_tap0,iface=t2\"}"))
            try bench.adopt(1, "t1", from: "a", to: "w1")
            try bench.adopt(2, "t2", from: "b", to: "w2")
            try bench.waitForLink("a", 2, "up")
            try bench.expectTraffic("w1", "w2")
            try bench.expectSound("a")
            try bench.expectSound("b")
        }
    }
}
