import Foundation
import Testing

extension EndToEnd {
    /// What workloads ask of their network, with the clients that people use: dhclient, udhcpc, the kernel's router discovery, dig.
    @Suite(.lab(.init(name: "srv"))) struct Services {
        let lab: Lab
        let scratch: TemporaryDirectory

        init() throws {
            lab = try Lab.current
            scratch = try TemporaryDirectory()
            // A name server of the site's own, whom the agents ask.
            try lab.shell(
                """
                [ -f "$LAB_DIR/dnsmasq.pid" ] || start controller dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts \\
                    --user=root --pid-file= --log-queries --log-facility=- --bind-interfaces --listen-address=10.0.0.1 \\
                    --host-record=www.example.test,192.0.2.80,2001:db8::80,60 --txt-record=big.example.test,\(Self.words(3000)) \\
                    --txt-record=text.example.test,hello --ptr-record=80.2.0.192.in-addr.arpa,www.example.test
                """)
            try eventually("the name server") { try !lab.succeed(in: "controller", ["ss", "-lunH", "sport = :53"]).isEmpty }
        }

        private static func words(_ size: Int) -> String { (0..<size / 100).map { _ in String(repeating: "x", count: 100) }.joined(separator: ",") }

        // MARK: - Clients

        /// The blocks that lease.sh wrote, newest last.
        private func leases(_ file: String) -> [[String: String]] {
            textOfFile(file).components(separatedBy: "\n\n").map { block in
                block.split(separator: "\n").reduce(into: [:]) { fields, line in
                    let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
                    fields[parts[0]] = parts.count > 1 ? parts[1] : ""
                }
            }.filter { !$0.isEmpty }
        }

        private func lease(_ file: String, _ event: String) throws -> [String: String] {
            guard let found = leases(file).last(where: { $0["event"] == event }) else { throw Failure("no \(event) in: \(textOfFile(file))") }
            return found
        }

        /// Runs dhclient once; its own lease and pid files, its own script.
        @discardableResult private func dhclient(
            _ workload: String, _ family: String = "-4", _ options: String..., leases: String = "", configuration: String = ""
        ) throws -> (log: String, file: String) {
            let file = "\(scratch.path)/\(workload)\(family).lease", leaseFile = "\(scratch.path)/\(workload)\(family).leases"
            let pidFile = "\(scratch.path)/\(workload)\(family).pid"
            if !leases.isEmpty { try leases.write(toFile: leaseFile, atomically: true, encoding: .utf8) }
            let configured = try scratch.write("dhclient.conf", configuration + "\n")
            let outcome = try lab.run(
                in: workload,
                ["dhclient", family, "-1", "-v", "-cf", configured, "-lf", leaseFile, "-pf", pidFile, "-sf", Place.input("lease.sh")]
                    + ["-e", "LEASE_FILE=\(file)"] + options + ["eth0"], limit: 60)
            // -1: it stays in the background to renew; that is not for this test.
            if let pid = Int32(textOfFile(pidFile).trimmingCharacters(in: .whitespacesAndNewlines)) { kill(pid, SIGTERM) }
            guard outcome.status == 0 else { throw Failure(outcome.both) }
            return (outcome.both, file)
        }

        private static let asked = """
            option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;
            request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers, domain-search, host-name, interface-mtu, ntp-servers,
              rfc3442-classless-static-routes;
            """

        private func services(_ node: String, _ port: String) throws -> [String: Any] {
            let text = try lab.succeed(in: node, ["curl", "-sf", "http://127.0.0.1:9091/status"])
            let status = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
            let ports = status?["ports"] as? [[String: Any]] ?? []
            return ports.first { $0["name"] as? String == port }?["services"] as? [String: Any] ?? [:]
        }

        private func dns(_ node: String, _ port: String, _ counter: String) throws -> Int {
            (try services(node, port)["dns"] as? [String: Any])?[counter] as? Int ?? 0
        }

        // MARK: - DHCPv4

        @Test func dhclientGetsThePortsAddress() throws {
            try lab.succeed(in: "blue1", ["ip", "-4", "address", "flush", "dev", "eth0"])
            defer { try? restore("blue1") }
            let (log, file) = try dhclient("blue1", configuration: Self.asked)
            #expect(log.contains("DHCPDISCOVER") && log.contains("DHCPACK of 10.1.0.11 from 10.1.0.1"), "\(log)")
            let lease = try lease(file, "BOUND")
            let expected = [
                "new_ip_address": "10.1.0.11", "new_subnet_mask": "255.255.255.0", "new_routers": "10.1.0.1", "new_domain_name_servers": "10.1.0.1",
                "new_domain_name": "blue.vrouter.local", "new_domain_search": "blue.vrouter.local.", "new_host_name": "blue1",
                "new_interface_mtu": "9000", "new_broadcast_address": "10.1.0.255", "new_dhcp_lease_time": "86400",
                "new_dhcp_server_identifier": "10.1.0.1",
            ]
            for (key, value) in expected { #expect(lease[key] == value, "\(key)") }
            try lab.expectPing(from: "blue1", "10.1.0.13")
            // It comes back with its old lease, then wants one that is not its own.
            let again = try dhclient("blue1", configuration: Self.asked).log
            #expect(again.contains("DHCPREQUEST for 10.1.0.11") && !again.contains("DHCPDISCOVER") && again.contains("DHCPACK"), "\(again)")
            let foreign = try dhclient(
                "blue1",
                leases: """
                    lease {
                      interface "eth0"; fixed-address 10.1.0.77; option subnet-mask 255.255.255.0; option dhcp-lease-time 86400;
                      option dhcp-server-identifier 10.1.0.1; renew never; rebind never; expire never;
                    }

                    """
            ).log
            #expect(foreign.contains("DHCPNAK from 10.1.0.1") && foreign.contains("DHCPACK of 10.1.0.11"), "\(foreign)")
            let status = try services("node1", "blue1")["dhcp"] as? [String: Any]
            #expect(status?["state"] as? String == "bound" && status?["address"] as? String == "10.1.0.11")
            try lab.expectSoundDataplane()
        }

        /// busybox's client; also the options of the network, changed while it runs.
        @Test func udhcpcFollowsTheNetwork() throws {
            try lab.succeed(in: "blue3", ["ip", "-4", "address", "flush", "dev", "eth0"])
            defer { try? restore("blue3") }
            func apply(_ dhcp: String) throws {
                let outcome = try lab.vrctl(
                    "node1", "apply", "-f", "-",
                    input: """
                        kind: VirtualNetwork
                        metadata: {name: blue}
                        spec:
                          subnets: [{prefix: 10.1.0.0/24, gateway: 10.1.0.1}, {prefix: "fd00:1::/64", gateway: "fd00:1::1"}]
                          encapsulation: vxlan
                          mtu: 9000
                        \(dhcp)
                        """)
                guard outcome.status == 0 else { throw Failure(outcome.both) }
            }
            func udhcpc(_ options: String...) throws -> [String: String] {
                let file = "\(scratch.path)/udhcpc"
                try? FileManager.default.removeItem(atPath: file)
                let words = [
                    "env", "LEASE_FILE=\(file)", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-s", Place.input("lease.sh"),
                ]
                let outcome = try lab.run(in: "blue3", words + options)
                guard outcome.status == 0 else { throw Failure(outcome.both) }
                return try lease(file, "bound")
            }
            let plain = try udhcpc("-O", "mtu")
            #expect(plain["ip"] == "10.1.0.13" && plain["mask"] == "24" && plain["router"] == "10.1.0.1" && plain["dns"] == "10.1.0.1")
            #expect(plain["domain"] == "blue.vrouter.local" && plain["lease"] == "86400" && plain["mtu"] == "9000")
            try apply(
                """
                  dhcp: {dnsServers: [192.0.2.53, 192.0.2.54], domain: cloud.example, leaseSeconds: 600, ntpServers: [192.0.2.123],
                    hostRoutes: [{prefix: 192.0.2.0/24, nextHop: 10.1.0.12}]}
                """)
            defer { try? apply("") }
            try eventually("the new options") { try udhcpc("-O", "ntpsrv", "-O", "staticroutes")["lease"] == "600" }
            let full = try udhcpc("-O", "ntpsrv", "-O", "staticroutes", "-O", "search")
            #expect(full["dns"] == "192.0.2.53 192.0.2.54" && full["domain"] == "blue.cloud.example" && full["ntpsrv"] == "192.0.2.123")
            #expect(full["staticroutes"] == "192.0.2.0/24 10.1.0.12 0.0.0.0/0 10.1.0.1" && full["search"] == "blue.cloud.example")
            // Another server's clients: DHCP is a broadcast like any other.
            try apply("  dhcp: {enabled: false}")
            try eventually("no DHCP") { try lab.run(in: "blue3", ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "1", "-T", "1"]).status != 0 }
            try apply("")
            try eventually("the defaults again") { try udhcpc()["lease"] == "86400" }
        }

        private func restore(_ workload: String) throws {
            try lab.shell(
                """
                ip -n "$LAB-\(workload)" -4 address flush dev eth0
                ip -n "$LAB-\(workload)" address add "${WORKLOAD_IPV4[\(workload)]}/24" dev eth0
                ip -n "$LAB-\(workload)" route replace default via "${WORKLOAD_IPV4[\(workload)]%.*}.1"
                """)
        }

        // MARK: - IPv6

        @Test func theKernelFindsItsRouterAndDhclientItsAddress() throws {
            try lab.succeed(in: "red1", ["sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2"])
            try lab.succeed(in: "red1", ["ip", "link", "set", "eth0", "down"])
            try lab.succeed(in: "red1", ["ip", "link", "set", "eth0", "up"])
            try eventually("a default route from an advertisement") {
                try lab.succeed(in: "red1", ["ip", "-6", "route", "show", "default", "proto", "ra"]).contains("via fe80::200:5eff:fe00:100 dev eth0")
            }
            let routes = try lab.succeed(in: "red1", ["ip", "-6", "route", "show", "dev", "eth0"])
            #expect(routes.contains("fd00:2::/64 proto kernel") || routes.contains("fd00:2::/64 proto ra"), "\(routes)")
            // No address of its own making.
            #expect(try !lab.succeed(in: "red1", ["ip", "-6", "address", "show", "dev", "eth0"]).contains("fd00:2:"))
            try eventually("a link-local address") {
                let text = try lab.succeed(in: "red1", ["ip", "-6", "address", "show", "dev", "eth0", "scope", "link"])
                return text.contains("fe80") && !text.contains("tentative")
            }
            let (log, file) = try dhclient("red1", "-6", configuration: "also request dhcp6.name-servers, dhcp6.domain-search;")
            let lease = try lease(file, "BOUND6")
            #expect(lease["new_ip6_address"] == "fd00:2::11" && lease["new_dhcp6_name_servers"] == "fd00:2::1", "\(log)")
            #expect(lease["new_dhcp6_domain_search"] == "red.vrouter.local.", "\(lease)")
            try lab.expectPing(from: "red1", "fd00:2::1")
            let status = try services("node2", "red1")["dhcpv6"] as? [String: Any]
            #expect(status?["state"] as? String == "bound" && status?["address"] as? String == "fd00:2::11")
            try lab.expectSoundDataplane()
        }

        // MARK: - DNS

        private func dig(_ workload: String, _ arguments: String...) throws -> String {
            let outcome = try lab.run(in: workload, ["dig", "+tries=1", "+time=8"] + arguments)
            guard outcome.status == 0 else { throw Failure(outcome.both) }
            return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
        }

        /// Ports of the network by name, on this node and the other, over both families; nobody of another network.
        @Test(arguments: ["10.1.0.1", "fd00:1::1"]) func namesOfTheNetwork(_ server: String) throws {
            #expect(try dig("blue1", "@\(server)", "+short", "blue3.blue.vrouter.local") == "10.1.0.13")
            #expect(try dig("blue1", "@\(server)", "+short", "Blue3.Blue.VRouter.Local", "AAAA") == "fd00:1::13")
            #expect(try dig("blue3", "@\(server)", "+short", "+nosearch", "blue2") == "10.1.0.12")
            #expect(try dig("blue1", "@\(server)", "+short", "-x", "10.1.0.13") == "blue3.blue.vrouter.local.")
            #expect(try dig("blue1", "@\(server)", "+short", "-x", "fd00:1::13") == "blue3.blue.vrouter.local.")
            #expect(try dig("blue1", "@\(server)", "+short", "gateway.blue.vrouter.local") == "10.1.0.1")
            let nobody = try dig("blue1", "@\(server)", "nobody.blue.vrouter.local")
            #expect(nobody.contains("status: NXDOMAIN") && nobody.contains("SOA") && nobody.contains(" aa "), "\(nobody)")
            let other = try dig("blue1", "@\(server)", "red1.red.vrouter.local")
            #expect(other.contains("status: NXDOMAIN"), "\(other)")
            let empty = try dig("blue1", "@\(server)", "blue3.blue.vrouter.local", "MX")
            #expect(empty.contains("status: NOERROR") && empty.contains("ANSWER: 0") && empty.contains("SOA"), "\(empty)")
            try lab.expectSoundDataplane()
        }

        @Test func namesComeAndGoWithPorts() throws {
            let yaml = """
                kind: Port
                metadata: {name: late.comer}
                spec: {network: blue, node: node2, mac: "02:00:00:00:01:44", addresses: [10.1.0.44]}
                """
            #expect(try dig("blue1", "@10.1.0.1", "late-comer.blue.vrouter.local").contains("NXDOMAIN"))
            let outcome = try lab.vrctl("node1", "apply", "-f", "-", input: yaml)
            #expect(outcome.status == 0, "\(outcome.both)")
            try eventually("the name") { try dig("blue1", "@10.1.0.1", "+short", "late-comer.blue.vrouter.local") == "10.1.0.44" }
            #expect(try lab.vrctl("node1", "delete", "port", "late.comer").status == 0)
            try eventually("no name") { try dig("blue1", "@10.1.0.1", "late-comer.blue.vrouter.local").contains("NXDOMAIN") }
        }

        @Test func otherNamesAreForwardedAndKept() throws {
            #expect(try dig("blue2", "@10.1.0.1", "+short", "www.example.test") == "192.0.2.80")
            let cached = try dns("node1", "blue2", "cached"), forwarded = try dns("node1", "blue2", "forwarded")
            #expect(forwarded > 0)
            #expect(try dig("blue2", "@fd00:1::1", "+short", "WWW.example.test") == "192.0.2.80")
            #expect(try dns("node1", "blue2", "cached") == cached + 1)
            #expect(try dns("node1", "blue2", "forwarded") == forwarded)
            #expect(try dig("blue2", "@10.1.0.1", "+short", "www.example.test", "AAAA") == "2001:db8::80")
            #expect(try dig("blue2", "@10.1.0.1", "+short", "-x", "192.0.2.80") == "www.example.test.")
            #expect(try dig("blue2", "@10.1.0.1", "+short", "text.example.test", "TXT") == "\"hello\"")
            // Longer than a datagram: said so, and whole over TCP.
            let cut = try dig("blue2", "@10.1.0.1", "+ignore", "big.example.test", "TXT")
            #expect(cut.contains(" tc "), "\(cut)")
            #expect(try dig("blue2", "@10.1.0.1", "+short", "big.example.test", "TXT").filter { $0 == "x" }.count == 3000)
            #expect(try dig("blue2", "@fd00:1::1", "+short", "+tcp", "blue1.blue.vrouter.local") == "10.1.0.11")
            try lab.expectSoundDataplane()
        }

        /// The name server goes away: what is asked is refused in time, what is known is still answered.
        @Test func aSilentNameServerIsNotWaitedForLong() throws {
            try lab.shell("kill -STOP $(cat \"$LAB_DIR/dnsmasq.pid\")")
            defer { _ = try? lab.shell("kill -CONT $(cat \"$LAB_DIR/dnsmasq.pid\")") }
            let answer = try dig("blue1", "@10.1.0.1", "silent-\(UInt32.random(in: 0 ... .max)).example.test")
            #expect(answer.contains("status: SERVFAIL"), "\(answer)")
            #expect(try dig("blue1", "@10.1.0.1", "+short", "blue3.blue.vrouter.local") == "10.1.0.13")
        }

        /// One workload asks as fast as it can: another one of the node, and its own DHCP, do not notice.
        @Test func aFloodStarvesNobody() throws {
            let flood = try lab.start(
                in: "blue2",
                [
                    Place.python, "-c",
                    """
                    import socket, struct
                    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    n = 0
                    while True:
                        n = (n + 1) & 0xffff
                        name = b"%05d" % n
                        s.sendto(struct.pack(">HHHHHH", n, 0x100, 1, 0, 0, 0) + bytes([5]) + name + b"\\x07example\\x04test\\0\\0\\1\\0\\1", ("10.1.0.1", 53))
                        s.sendto(b"nobody listens", ("10.1.0.1", 9999))
                    """,
                ])
            defer { flood.end() }
            try eventually("drops of the flood") { try lab.drops("node1", "trap_rate_limited") > 1000 }
            for _ in 0..<5 { #expect(try dig("blue1", "@10.1.0.1", "+short", "blue3.blue.vrouter.local") == "10.1.0.13") }
            for workload in ["blue1", "blue2"] {
                let log = try dhclient(workload).log
                #expect(log.contains("DHCPACK"), "\(log)")
            }
        }
    }
}
