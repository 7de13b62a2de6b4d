import DataplaneAPI
import Foundation
import Logging
import NIOCore
import NetTypes
import StrictYAML
import Testing

@testable import Agent

@Suite struct ConfigurationTests {
    static let good = """
        node: node1
        controllers: [{host: 10.0.0.1, port: 5270}, {host: 10.0.0.2}]
        xmpp: {domain: vrouter.local, password: secret, transport: plaintext, plaintextScope: any}
        dataplane: {socket: /tmp/d.sock}
        api: {port: 9191}
        fabric: {interface: fabric0, driver: "net_af_packet{index},iface={interface}", address: 10.0.0.11/24, gateway: 10.0.0.1, mtu: 1600, mac: "02:00:00:00:00:11"}
        host: {interface: vhost0-vr, driver: pcap}
        workloads: {driver: "net_tap{index},iface={interface}", antispoof: true}
        state: /tmp/ports
        log: debug
        """

    @Test func everyKey() throws {
        let configuration = try AgentConfiguration(yaml: Self.good, source: "agent.yaml")
        #expect(configuration.node == "node1")
        #expect(configuration.controllers == [.init(host: "10.0.0.1", port: 5270), .init(host: "10.0.0.2", port: 5269)])
        #expect(configuration.xmpp == .init(domain: "vrouter.local", password: "secret", plaintextScope: .any))
        #expect(configuration.dataplaneSocket == "/tmp/d.sock")
        #expect(configuration.apiPort == 9191)
        #expect(configuration.fabric.address == IPv4Address(10, 0, 0, 11))
        #expect(configuration.fabric.subnet == IPPrefix("10.0.0.0/24"))
        #expect(configuration.fabric.gateway == IPv4Address(10, 0, 0, 1))
        #expect(configuration.fabric.mtu == 1600)
        #expect(configuration.fabric.mac == MACAddress("02:00:00:00:00:11"))
        #expect(configuration.fabric.driver == .dpdk(template: "net_af_packet{index},iface={interface}"))
        #expect(configuration.host == .init(interface: "vhost0-vr", driver: .pcap))
        #expect(configuration.workloadDriver == .dpdk(template: "net_tap{index},iface={interface}"))
        #expect(configuration.antispoof)
        #expect(configuration.fabric.receive == .init() && configuration.workloadReceive == .init())
        #expect(configuration.stateDirectory == "/tmp/ports")
        #expect(configuration.logLevel == .debug)
    }

    /// What is said about queues and spreading reaches the ports; what is not said is left to the data plane, and a change of it is a difference.
    @Test func queuesAndSpreading() throws {
        let text = Self.good.replacing("gateway: 10.0.0.1,", with: "gateway: 10.0.0.1, queues: 4, spread: false,")
            .replacing("antispoof: true}", with: "antispoof: true, queues: 2, spread: true}")
        let configuration = try AgentConfiguration(yaml: text, source: "agent.yaml")
        #expect(configuration.fabric.receive.queues == 4 && configuration.fabric.receive.spread == false)
        #expect(configuration.workloadReceive.queues == 2 && configuration.workloadReceive.spread == true)
        let plain = TableObject.port("p", driver: .pcap, index: VifID(3))
        let spread = TableObject.port("p", driver: configuration.workloadDriver, index: VifID(3), receive: configuration.workloadReceive)
        #expect(spread.port.queues == 2 && spread.port.hasSpread && spread.port.spread && !plain.port.hasSpread && plain.port.queues == 0)
        var read = plain
        read.port.isSpread = true
        read.port.stats.rxPackets = 4
        #expect(read.withoutOutput == plain)
        read.port.spread = true
        #expect(read.withoutOutput != plain && read.withoutOutput.port.spread)
    }

    @Test func thePasswordIsNotPrinted() throws {
        let configuration = try AgentConfiguration(yaml: Self.good, source: "agent.yaml")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped, String(describing: Optional(configuration.xmpp))] {
            #expect(!text.contains("secret"))
        }
    }

    @Test func defaults() throws {
        let configuration = try AgentConfiguration(
            yaml: "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24}\n", source: "a")
        #expect(configuration.controllers.isEmpty)
        #expect(configuration.dataplaneSocket == "/run/vrouter/dataplane.sock")
        #expect(configuration.apiPort == 9091)
        #expect(configuration.stateDirectory == "/var/lib/vrouter/ports")
        #expect(configuration.workloadDriver == .pcap && configuration.host == nil && configuration.logLevel == .info)
    }

    /// What is written, and the whole error.
    static let bad: [(String, String)] = [
        ("", "a.yaml:1:1: the file is empty"),
        (
            "- 1\n",
            "a.yaml:1:1: expected a mapping of node, controllers, xmpp, dataplane, api, fabric, host, workloads, flows, dns, state, log, found a list"
        ),
        ("node: [\n", "a.yaml:2:1: not YAML: did not find expected node content (while parsing a flow node)"),
        (
            "node: n\nnodes: 3\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24}\n",
            "a.yaml:2:1: nodes: unknown field 'nodes'; did you mean 'node'?"
        ),
        ("xmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24}\n", "a.yaml:1:1: node: is missing"),
        ("node: 'a b'\n", "a.yaml:1:7: node: expected a node name: letters, digits, '-', '_' and '.', found 'a b'"),
        (
            "node: n\nxmpp: {password: x}\n",
            "a.yaml:2:7: xmpp.transport: is missing; this build speaks plaintext only and wants that said: transport: plaintext"
        ),
        ("node: n\nxmpp: {password: x, transport: tls}\n", "a.yaml:2:32: xmpp.transport: 'tls' is not supported by this build; use plaintext"),
        ("node: n\nxmpp:\n  transport: plaintext\n", "a.yaml:3:3: xmpp.password: is missing"),
        (
            "node: n\ncontrollers: [{host: 10.0.0.1}]\nxmpp: {password: x, transport: plaintext}\n",
            "a.yaml:2:14: controllers: 10.0.0.1 is not a loopback address and the transport is plaintext; set xmpp.plaintextScope: any to allow it"
        ),
        (
            "node: n\ncontrollers: [{host: localhost, port: 70000}]\n",
            "a.yaml:2:39: controllers[0].port: expected a number from 1 to 65535, found '70000'"
        ),
        (
            "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: fd00::1/64}\n",
            "a.yaml:3:33: fabric.address: fd00::1 is IPv6; the underlay of this build is IPv4 (overlay networks may be IPv6)"
        ),
        (
            "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1}\n",
            "a.yaml:3:33: fabric.address: expected an address with its prefix length, as in 10.0.0.11/24, found '10.0.0.1'"
        ),
        (
            "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24, gateway: 10.1.0.1}\n",
            "a.yaml:3:55: fabric.gateway: 10.1.0.1 is not in 10.0.0.0/24"
        ),
        (
            "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24}\nworkloads: {driver: \"net_tap,iface={interface}\"}\n",
            "a.yaml:4:21: workloads.driver: 'net_tap,iface={interface}' lacks {index}, so two workloads would name one device"
        ),
        (
            "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24}\nlog: loud\n",
            "a.yaml:4:6: log: 'loud' is not one of trace, debug, info, notice, warning, error, critical"
        ),
        (
            "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24, queues: 2}\n",
            "a.yaml:3:54: fabric.queues: a pcap port has one receive queue; use a DPDK driver, or `spread: true`"
        ),
        (
            "node: n\nxmpp: {password: x, transport: plaintext}\nfabric: {interface: f, address: 10.0.0.1/24}\nworkloads: {spread: 1}\n",
            "a.yaml:4:21: workloads.spread: expected true or false, found '1'"
        ),
    ]

    @Test(arguments: bad.indices) func refused(_ index: Int) {
        let (text, message) = Self.bad[index]
        do throws(ConfigError) {
            _ = try AgentConfiguration(yaml: text, source: "a.yaml")
            Issue.record("accepted: \(text)")
        } catch {
            #expect(error.description == message)
        }
    }

    @Test func shippedExampleIsGood() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../configs/agent.yaml").standardized.path
        // Built elsewhere than in its own tree the file is not there; then there is nothing to check.
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return }
        let configuration = try AgentConfiguration(yaml: text, source: path)
        #expect(configuration.host != nil && configuration.controllers.count == 1)
    }
}

@Suite struct NameServerConfigurationTests {
    private func configuration(_ dns: String) throws -> AgentConfiguration {
        try AgentConfiguration(yaml: ConfigurationTests.good + "\ndns: \(dns)\n", source: "a.yaml")
    }

    @Test func forwarders() throws {
        #expect(try configuration("{}").dns == DNSService.Settings())
        #expect(try configuration("{forwarders: []}").dns.forwarders == [])
        let all = try configuration(
            #"{forwarders: [192.0.2.53, "192.0.2.54:5353", "2001:db8::53", "[2001:db8::54]:54"], timeoutSeconds: 5, attempts: 1, cacheEntries: 0}"#
        ).dns
        #expect(all.timeout == .seconds(5) && all.attempts == 1 && all.cacheEntries == 0)
        #expect(
            all.forwarders?.map { "\($0.ipAddress ?? "") \($0.port ?? 0)" } == [
                "192.0.2.53 53", "192.0.2.54 5353", "2001:db8::53 53", "2001:db8::54 54",
            ])
    }

    @Test(arguments: [
        ("{forwarders: [a.b]}", "a name server's address"), ("{forwarders: [\"192.0.2.1:0\"]}", "a name server's address"),
        ("{forwarders: [192.0.2.1, 192.0.2.1]}", "twice"), ("{timeoutSeconds: 0}", "from 1 to 60"), ("{cache: 1}", "unknown field 'cache'"),
    ]) func refused(_ dns: String, _ message: String) {
        #expect { try configuration(dns) } throws: { "\($0)".contains(message) }
    }
}
