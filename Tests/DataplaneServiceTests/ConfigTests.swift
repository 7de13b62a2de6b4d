import Dataplane
import Foundation
import NetTypes
import StrictYAML
import Testing

@testable import DataplaneService

@Suite struct ConfigTests {
    @Test func anEmptyFileIsTheDefaults() throws {
        let configuration = try VRouterConfiguration.parse("", source: "f")
        #expect(configuration.router.cores == [nil])
        #expect(configuration.router.idle == .adaptive)
        #expect(configuration.socket == "/run/vrouter/dataplane.sock")
        #expect(configuration.dpdkArguments == nil)
        #expect(configuration.objects.isEmpty)
    }

    @Test func everySetting() throws {
        let configuration = try VRouterConfiguration.parse(
            """
            workers: [0, 3]
            rebalance: {interval: 30, leastGain: 25, leastLoad: 0, mostMoves: 8}
            idle: poll
            api: {socket: /tmp/s}
            dpdk: {eal: ["--no-huge", "-m", "256"]}
            buffers: {count: 4096, size: 10240}
            flows: {capacity: 2048}
            fragments: {capacity: 256, outOfOrder: drop}
            capacities: {nextHops: 64, vifs: 8, vrfs: 4}
            """, source: "f")
        #expect(configuration.router.cores == [0, 3])
        var policy = RebalancePolicy()
        (policy.interval, policy.leastGain, policy.leastLoad, policy.mostMoves) = (30, 0.25, 0, 8)
        #expect(configuration.router.rebalance == policy)
        #expect(try VRouterConfiguration.parse("rebalance: none", source: "f").router.rebalance == nil)
        #expect(try VRouterConfiguration.parse("rebalance: {}", source: "f").router.rebalance == RebalancePolicy())
        #expect(configuration.router.idle == .poll)
        #expect(configuration.socket == "/tmp/s")
        #expect(configuration.dpdkArguments == ["--no-huge", "-m", "256"])
        #expect(configuration.bufferCount == 4096)
        #expect(configuration.bufferSize == 10240)
        #expect(configuration.router.flowCapacity == 2048)
        #expect(configuration.router.fragmentCapacity == 256 && configuration.router.fragmentPolicy == .drop)
        #expect(configuration.router.nextHopCapacity == 64)
        #expect(configuration.router.vifCapacity == 8)
        #expect(configuration.router.vrfCapacity == 4)
        #expect(try VRouterConfiguration.parse("workers: 3", source: "f").router.cores == [nil, nil, nil])
        #expect(try VRouterConfiguration.parse("api: none", source: "f").socket == nil)
    }

    /// The sections come in any order; objects are applied in the order of their dependence.
    @Test func objectsBecomeTheSameValuesAsInTheAPI() throws {
        let configuration = try VRouterConfiguration.parse(
            """
            flows: {ageing: [{protocol: udp, port: 53, seconds: 20, cookie: 4}, {seconds: 604800}]}
            objects:
              mirrors:
                - {id: 1, sources: [3, {vif: 4, direction: received}, {vif: 0, direction: sent}], snapLength: 128, cookie: 5,
                   file: {path: /tmp/m.pcapng, maximumSize: 1000000, maximumFiles: 3}}
                - {id: 2, sources: [{vif: 3}], vif: 9}
                - {id: 3, sources: [3], vxlan: {nextHop: 5, vni: 7000}}
                - {id: 4, sources: [{vif: 3, direction: both}], erspan: {nextHop: 5, session: 1023}}
              vnis: [{vni: 16777215, nextHop: 9, cookie: 7}]
              labels: [{label: 1048575, nextHop: 3, cookie: 6}]
              routes:
                - {vrf: 1, prefix: 10.1.0.0/24, nextHop: 5, label: 5000, proxies: true, mac: "02:00:00:00:01:0a", cookie: 4}
                - {vrf: 1, prefix: 0.0.0.0/0, nextHop: 0}
                - {vrf: 1, prefix: "fd00:1::/64", nextHop: 0, label: 0}
                - {vrf: 1, prefix: "fd00:1::10", nextHop: 3}
              bridge:
                - {vrf: 1, mac: "02:00:00:00:01:0a", nextHop: 4, label: 16777215, cookie: 5}
                - {vrf: 1, mac: "ff:ff:ff:ff:ff:ff", nextHop: 1}
              nextHops:
                - {id: 1, discard: , cookie: 3}
                - {id: 2, receive: {vif: 3}}
                - {id: 3, encap: {vif: 3, destination: "02:00:00:00:01:0a", source: "02:00:00:00:01:0b"}}
                - {id: 4, encap: {vif: 3}}
                - {id: 5, tunnel: {encapsulation: vxlan, source: 10.1.0.10, destination: 10.1.0.10, vif: 0, destinationMAC: "02:00:00:00:01:0a",
                    sourceMAC: "02:00:00:00:01:0b", routerMAC: "02:00:00:00:01:0a"}}
                - {id: 6, tunnel: {encapsulation: mplsOverUDP, source: "fd00:1::10", destination: "fd00:1::10", vif: 0,
                    destinationMAC: "02:00:00:00:01:0a", sourceMAC: "02:00:00:00:01:0b"}}
                - {id: 7, tunnel: {encapsulation: mplsOverGRE, source: 10.1.0.10, destination: 10.1.0.10, vif: 0,
                    destinationMAC: "02:00:00:00:01:0a", sourceMAC: "02:00:00:00:01:0b"}}
                - {id: 8, resolve: {vif: 0}}
                - {id: 9, vrf: {id: 1, bridges: true}}
                - {id: 10, ecmp: [{nextHop: 5, label: 0}, {nextHop: 6}]}
                - {id: 11, ecmp: {members: [{nextHop: 5}], hash: [source, destinationPort]}}
                - {id: 12, indirect: 10}
                - {id: 13, vrf: {id: 1, routerMAC: "02:00:00:00:01:0b"}}
                - {id: 14, multicast: {vrf: 1, local: [4], evpn: [{nextHop: 5, label: 5000}], fabric: [{nextHop: 7, label: 2000}], vni: 5000}}
              vifs:
                - {id: 6, name: w2, kind: virtual, port: a, vrf: 1, mac: "00:00:5e:00:01:00", workloadMAC: "02:00:00:00:01:0a", antispoof: true,
                   allowedPairs: [{prefix: 10.1.0.0/24}, {prefix: "fd00::/64", mac: "02:00:00:00:01:0a"}]}
                - {id: 3, name: w1, kind: virtual, port: a, vrf: 1, mac: "00:00:5e:00:01:00", mtu: 9000, addresses: [10.1.0.10, "fd00:1::10"],
                   workloadMAC: "02:00:00:00:01:0a", workloadAddresses: ["fd00:1::10", 10.1.0.10], keepsFlows: true, antispoof: true, cookie: 7}
                - {id: 52, name: w2, kind: virtual, port: a, vrf: 1, mac: "00:00:5e:00:01:00", services: true}
                - {id: 0, name: fabric, kind: physical, port: b, mac: "02:00:00:00:01:0b", bridges: false, checksTunnelSource: true,
                   reversePath: strict, sendsUnreachables: true, qosMap: 9, ingressPolicies: [1], egressPolicies: [2, 1],
                   flowLimit: 20000, flowRate: 500,
                   fatFlows: [{protocol: udp, port: 53, ignoreAddress: remote}, {protocol: 6}]}
                - {id: 50, name: w1.200.30, kind: vlan, vrf: 1, mac: "00:00:5e:00:01:00", floodsUnknownUnicast: true, trapsGroupReports: true,
                   vlan: {parent: 3, id: 200, innerID: 30}}
                - {id: 51, name: w1.100, kind: vlan, vrf: 1, mac: "00:00:5e:00:01:00", vlan: {parent: 3, id: 100, protocol: service}}
                - {id: 60, name: mon3, kind: monitoring, port: i, mac: "00:00:5e:00:01:00", monitors: 3}
              qosMaps:
                - {id: 9, dscp: [{from: 46, class: 5}, {from: 0, class: 5}], trafficClass: [{from: 7, class: 5}],
                  vlanPriority: [{from: 3, class: 5}, {from: 0, class: 5}], cookie: 10}
              policies:
                - id: 1
                  name: sg
                  origin: networkPolicy
                  default: pass
                  cookie: 12
                  rules:
                    - {name: dns, remote: {group: 4}, protocol: udp, ports: [53, 8000-8999]}
                    - {action: deny, remote: {prefixes: [10.0.0.0/8]}, local: {prefixes: [10.1.0.10]}, protocol: 6, sourcePorts: [1-1023]}
                    - {protocol: icmp, icmpType: 3, icmpCode: 4}
                    - {protocol: icmpv6, icmpType: 128}
                    - {protocol: 47, mirror: 9, log: true}
                    - {action: deny, log: true}
                - {id: 2, name: none, origin: firewall}
              natRules:
                - {id: 1, name: in, destination: {vrf: 2, address: 10.2.0.101, backends: [{address: 10.1.0.10, vrf: 1}]}, cookie: 3}
                - id: 2
                  name: web
                  destination:
                    vrf: 1
                    address: "fd00:96::1"
                    protocol: tcp
                    ports: 80
                    backends: [{address: "fd00:1::10", port: 8080, vrf: 1}, {address: "fd00:1::11", port: 0, vrf: 1, draining: true}]
                    affinity: client
                - {id: 3, name: there, destination: {vrf: 2, address: 10.2.0.201, ports: 1024-2047, backends: [{vrf: 1}]}}
                - {id: 4, name: out, source: {vrf: 1, prefix: 10.1.0.10, outsideVRF: 2, address: 10.2.0.101}}
                - {id: 5, name: all, source: {vrf: 1, prefix: 10.1.0.0/24, outsideVRF: 2, address: 10.2.0.201, ports: 2048-3071}}
              addressGroups: [{id: 4, name: web, prefixes: [10.1.0.0/24, "fd00::/64"], cookie: 11}]
              forwardingClasses: [{id: 5, dscp: 63, trafficClass: 7, vlanPriority: 6, cookie: 9}]
              vrfs: [{id: 1, name: blue, cookie: 2},
                {id: 2, name: red, floodsUnknownUnicast: true, learnsMACs: true, macAgeing: 60, macLimit: 100, flowLimit: 7}]
              ports:
                - {name: a, pcap: {interface: eth0}, mtu: 1500, queues: 2, cookie: 1}
                - {name: b, pcapFile: {input: in.pcap}}
                - {name: c, pcapFile: {output: out.pcap}}
                - {name: d, dpdk: {device: "net_tap0,iface=tap0"}}
                - {name: e, loopback: {}, cookie: 0xffffffffffffffff}
                - {name: f, dpdk: {device: "net_bonding0,mode=1", members: ["net_tap1,iface=t1", "0000:04:00.0"]}, queues: 4, spread: false}
                - {name: g, replay: {file: trace.pcap}}
                - {name: h, replay: {file: trace.pcap, count: 1000000}}
                - {name: i, sink: {}, mtu: 9000, spread: true}
            """, source: "f")
        var expected = sampleObjects.filter { if case .flow = $0 { false } else { true } }
        // In the file's order of sections VRFs come before vifs.
        let vrfs = expected[21...22]
        expected.removeSubrange(21...22)
        expected.insert(contentsOf: vrfs, at: 11)
        #expect(configuration.objects.map(\.object) == expected)
        #expect(configuration.objects.first?.place.line == 87)
        #expect(configuration.objects.first?.place.column == 7)
        #expect(configuration.objects.first?.place.field == "objects.ports[0]")
    }

    @Test(arguments: [
        ("workes: 1", "f:1:1: workes: unknown field 'workes'; did you mean 'workers'?"),
        (
            "idle: adaptive\nqueue: 1",
            "f:2:1: queue: unknown field 'queue'; known here: workers, rebalance, idle, api, dpdk, buffers, flows, fragments, capacities, objects"
        ),
        ("workers: 0", "f:1:10: workers: expected a number from 1 to 64, found '0'"),
        ("workers: two", "f:1:10: workers: expected a number from 1 to 64, found 'two'"),
        ("workers: \"2\"", "f:1:10: workers: expected a number from 1 to 64, found '2'"),
        ("workers: []", "f:1:10: workers: there is no core in the list"),
        ("workers: [1, 2, 1]", "f:1:17: workers[2]: core 1 is given twice; one worker per core"),
        ("workers: [-1]", "f:1:11: workers[0]: expected a number from 0 to 1023, found '-1'"),
        ("rebalance: 5", "f:1:12: rebalance: expected a mapping of interval, leastGain, leastLoad, mostMoves, found '5'"),
        ("rebalance: {interval: 0}", "f:1:23: rebalance.interval: expected a number from 1 to 3600, found '0'"),
        ("rebalance: {leastGain: 0}", "f:1:24: rebalance.leastGain: expected a number from 1 to 100, found '0'"),
        ("objects: {ports: [{name: a, sink: {}, spread: maybe}]}", "f:1:47: objects.ports[0].spread: expected true or false, found 'maybe'"),
        ("objects: {policies: [{id: 1, name: a, rules: [{ports: [80]}]}]}", "f:1:55: objects.policies[0].rules[0].ports: needs a protocol"),
        (
            "objects: {natRules: [{id: 1, name: a, destination: {vrf: 1, address: 10.0.0.1, protocol: tcp}}]}",
            "f:1:90: objects.natRules[0].destination.protocol: a protocol goes with one port: give ports, one number"
        ),
        (
            "objects: {policies: [{id: 1, name: a, rules: [{mirror: 256}]}]}",
            "f:1:56: objects.policies[0].rules[0].mirror: expected a number from 1 to 255, found '256'"
        ),
        ("objects: {natRules: [{id: 1, name: a}]}", "f:1:22: objects.natRules[0]: give one of destination, source"),
        (
            "objects: {policies: [{id: 1, name: a, rules: [{protocol: tcp, ports: [90-80]}]}]}",
            "f:1:71: objects.policies[0].rules[0].ports[0]: is neither a port nor a range such as 8000-8999"
        ),
        ("idle: lazy", "f:1:7: idle: 'lazy' is not one of poll, adaptive, sleep"),
        ("idle:", "f:1:6: idle: expected one of poll, adaptive, sleep, found nothing"),
        ("api: off", "f:1:6: api: expected a mapping of socket, found 'off'"),
        ("api: {path: /x}", "f:1:7: api.path: unknown field 'path'; known here: socket"),
        ("buffers: {count: 1}", "f:1:18: buffers.count: expected a number from 64 to 16777216, found '1'"),
        (
            "dpdk: {eal: [--no-huge, --vdev, 'net_tap0,ifce=x']}",
            "f:1:33: dpdk.eal[2]: --vdev net_tap0,ifce=x: net_tap has no argument 'ifce'; did you mean 'iface'?; it has iface, mac, remote, persist"
        ),
        (
            "objects: {ports: [{name: a, replay: {file: x, count: 0}}]}",
            "f:1:54: objects.ports[0].replay.count: expected a number from 1 to 9223372036854775807, found '0'"
        ),
        ("dpdk: {eal: --no-huge}", "f:1:13: dpdk.eal: expected a list, found '--no-huge'"),
        ("- a", "f:1:1: expected a mapping of workers, rebalance, idle, api, dpdk, buffers, flows, fragments, capacities, objects, found a list"),
        ("idle: poll\nidle: sleep", "f:1:1: the key 'idle' is given twice"),
        ("objects: {route: []}", "f:1:11: objects.route: unknown field 'route'; did you mean 'routes'?"),
        ("objects:\n  ports:\n    - {name: a}", "f:3:7: objects.ports[0]: give one of pcap, pcapFile, dpdk, loopback, replay, sink"),
        (
            "objects:\n  ports:\n    - {name: a, loopback: {}, dpdk: {device: x}}",
            "f:3:27: objects.ports[0].loopback: only one of dpdk, loopback can be given"
        ),
        ("objects:\n  ports:\n    - {loopback: {}}", "f:3:7: objects.ports[0].name: is missing"),
        ("objects: {ports: [{name: a, pcapFile: {}}]}", "f:1:39: objects.ports[0].pcapFile: give input, output or both"),
        (
            "objects: {ports: [{name: a, pcap: {interface: e, filter: x}}]}",
            "f:1:50: objects.ports[0].pcap.filter: unknown field 'filter'; known here: interface"
        ),
        ("objects: {vrfs: [{id: -1, name: x}]}", "f:1:23: objects.vrfs[0].id: expected a number from 0 to 4294967295, found '-1'"),
        ("objects: {vrfs: [{id: 1}]}", "f:1:18: objects.vrfs[0].name: is missing"),
        (
            "objects: {vifs: [{id: 1, name: a, kind: virt}]}",
            "f:1:41: objects.vifs[0].kind: 'virt' is not one of host, agent, physical, virtual, vlan, monitoring"
        ),
        (
            "objects: {vifs: [{id: 1, name: a, kind: virtual, port: p, mac: 1}]}",
            "f:1:64: objects.vifs[0].mac: expected a MAC address such as 02:00:00:00:01:0a, found '1'"
        ),
        (
            "objects: {vifs: [{id: 1, name: a, kind: virtual, port: p, mac: '02:00:00:00:00:01', bridges: yes}]}",
            "f:1:94: objects.vifs[0].bridges: expected true or false, found 'yes'"
        ),
        (
            "objects:\n  routes:\n    - {vrf: 1, prefix: 10.0.0.1/8, nextHop: 0}",
            "f:3:24: objects.routes[0].prefix: '10.0.0.1/8' has host bits set; the prefix is 10.0.0.0/8"
        ),
        (
            "objects: {routes: [{vrf: 1, prefix: x, nextHop: 0}]}",
            "f:1:37: objects.routes[0].prefix: expected a prefix such as 10.1.0.0/24 or fd00:1::/64, found 'x'"
        ),
        (
            "objects: {labels: [{label: 1048576, nextHop: 0}]}",
            "f:1:28: objects.labels[0].label: expected a number from 0 to 1048575, found '1048576'"
        ),
        ("objects: {vnis: [{vni: 16777216, nextHop: 0}]}", "f:1:24: objects.vnis[0].vni: expected a number from 0 to 16777215, found '16777216'"),
        ("objects: {nextHops: [{id: 1, ecmp: []}]}", "f:1:36: objects.nextHops[0].ecmp: there is no member in the list"),
        (
            "objects: {nextHops: [{id: 1, ecmp: {members: [{nextHop: 2}], hash: [ports]}}]}",
            "f:1:69: objects.nextHops[0].ecmp.hash[0]: 'ports' is not one of protocol, source, sourcePort, destination, destinationPort"
        ),
        (
            "objects: {mirrors: [{id: 1, sources: [{vif: 3, direction: up}], vif: 9}]}",
            "f:1:59: objects.mirrors[0].sources[0].direction: 'up' is not one of received, sent, both"
        ),
        ("objects: {mirrors: [{id: 1, sources: [], vif: 9}]}", "f:1:38: objects.mirrors[0].sources: there is no vif in the list"),
        ("objects: {mirrors: [{id: 1, sources: [3]}]}", "f:1:21: objects.mirrors[0]: give one of file, vif, vxlan, erspan"),
        (
            "objects: {mirrors: [{id: 1, sources: [3], erspan: {nextHop: 5, session: 1024}}]}",
            "f:1:73: objects.mirrors[0].erspan.session: expected a number from 0 to 1023, found '1024'"
        ),
        ("objects: {nextHops: [{id: 1, discard: {x: 1}}]}", "f:1:40: objects.nextHops[0].discard.x: unknown field 'x'; there are none here"),
    ])
    func errorsNameTheirPlace(_ text: String, _ message: String) {
        let error = #expect(throws: ConfigError.self) { try VRouterConfiguration.parse(text, source: "f") }
        #expect(error?.description == message)
    }

    /// A relative file is one of the working directory; trying a configuration neither makes nor empties it.
    @Test func aMirrorsFileIsLeftAloneByACheck() throws {
        let file = "/tmp/vr-mirror-\(UInt32.random(in: 0 ... .max)).pcapng"
        defer { try? FileManager.default.removeItem(atPath: file) }
        try "kept".write(toFile: file, atomically: false, encoding: .utf8)
        let text = """
            objects:
              ports: [{name: a, loopback: {}}]
              vifs: [{id: 3, name: a, kind: virtual, port: a, mac: "00:00:5e:00:01:00"}]
              mirrors: [{id: 1, sources: [3], file: {path: PATH}}]
            """
        try ConfiguredRouter.check(VRouterConfiguration.parse(text.replacing("PATH", with: file), source: "f"))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "kept")
        let object = try VRouterConfiguration.parse(text.replacing("PATH", with: "m.pcapng"), source: "f").objects[2].object
        guard case .mirror(let mirror) = object, case .file(let path, 0, 1) = mirror.destination else {
            Issue.record("\(object)")
            return
        }
        #expect(path == FileManager.default.currentDirectoryPath + "/m.pcapng")
        let error = #expect(throws: ConfiguredRouter.Failure.self) {
            try ConfiguredRouter.check(
                VRouterConfiguration.parse(text.replacing("sources: [3]", with: "sources: [4]").replacing("PATH", with: file), source: "f"))
        }
        #expect(error?.description == "f:4:13: objects.mirrors[0]: mirror 1: vif 4 does not exist; create it first")
    }

    @Test func brokenYAMLNamesTheLine() {
        let error = #expect(throws: ConfigError.self) { try VRouterConfiguration.parse("idle: poll\nworkers: [1", source: "f") }
        #expect(error?.line == 3 || error?.line == 2)
        #expect(error?.description.contains("not YAML") == true)
    }

    @Test func aMissingFileIsNamed() {
        let error = #expect(throws: ConfigError.self) { try VRouterConfiguration.load("/nonexistent/vrouter.yaml") }
        #expect(error?.description == "/nonexistent/vrouter.yaml: cannot be read: no such file")
    }

    /// Cores that are not there, not ours, too many, and more workers than there are cores for.
    @Test func workersOnAMachine() throws {
        let machine = Machine(present: [0, 1, 2, 3, 8], permitted: [1, 2, 3])
        func parse(_ text: String) throws -> VRouterConfiguration { try VRouterConfiguration.parse(text, source: "f", machine: machine) }
        #expect(try parse("workers: [3, 1]").router.cores == [3, 1])
        for (text, message) in [
            ("workers: [1, 4]", "f:1:14: workers[1]: core 4 does not exist or is switched off; there are 0-3,8"),
            ("workers: [8]", "f:1:11: workers[0]: core 8 is not permitted to this process (taskset, cpuset); permitted are 1-3"),
            ("workers: [1, 2, 1]", "f:1:17: workers[2]: core 1 is given twice; one worker per core"),
        ] {
            let error = #expect(throws: ConfigError.self) { try parse(text) }
            #expect(error?.description == message)
        }
        let many = "workers: [\((0...64).map(String.init).joined(separator: ", "))]"
        let error = #expect(throws: ConfigError.self) { try VRouterConfiguration.parse(many, source: "f") }
        #expect(error?.description == "f:1:257: workers[64]: is one core too many; there are at most 64 workers")
        #expect(try parse("workers: 3").warnings.isEmpty)
        #expect(
            try parse("workers: 4\nidle: poll").warnings == [
                "workers: 4 workers share 3 cores (1-3): packets wait while another worker has the core, always with `idle: poll`; give at most as many workers as there are cores"
            ])
        var configuration = try parse("workers: 4")
        #expect(configuration.warnings.count == 1)
        try configuration.setWorkers("2", source: "--workers", machine: machine)
        #expect(configuration.warnings.isEmpty)
        let refused = #expect(throws: ConfigError.self) { try configuration.setWorkers("[0]", source: "--workers", machine: machine) }
        #expect(refused?.description == "--workers:1:2: [0]: core 0 is not permitted to this process (taskset, cpuset); permitted are 1-3")
    }

    @Test func workersOfTheCommandLine() throws {
        var configuration = VRouterConfiguration()
        try configuration.setWorkers("[2, 0]", source: "--workers")
        #expect(configuration.router.cores == [2, 0])
        let error = #expect(throws: ConfigError.self) { try configuration.setWorkers("many", source: "--workers") }
        #expect(error?.description == "--workers:1:1: expected a number from 1 to 64, found 'many'")
    }
}
