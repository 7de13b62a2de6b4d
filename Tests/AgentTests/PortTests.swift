import Foundation
import Logging
import NetTypes
import Overlay
import Testing

@testable import Agent

func portRequest(_ json: String) throws -> PortRequest { try PortRequest(JSONDecoder().decode(JSONValue.self, from: Data(json.utf8))) }

@Suite struct PortRequestTests {
    @Test func openSDNShape() throws {
        let request = try portRequest(
            """
            {"id": "6b1f6d2e-0000-4000-8000-00000000000a", "instance-id": "i", "ip-address": "10.1.0.10", "ip6-address": "fd00:1::10", "vn-id": "v",
             "vm-project-id": "p", "display-name": "d", "mac-address": "02:00:00:00:01:0a", "system-name": "tap1", "type": 1, "rx-vlan-id": -1,
             "tx-vlan-id": -1, "vhostuser-mode": 0, "link-state": true, "author": "a", "time": "t"}
            """)
        #expect(request.id == "6b1f6d2e-0000-4000-8000-00000000000a" && request.interface == "tap1")
        #expect(request.mac == Fixture.blueA.mac && request.addresses == Fixture.blueA.addresses)
    }

    static let bad: [(String, String)] = [
        ("[]", "a port must be a JSON object"),
        (#"{"system-name": "t"}"#, "id: is missing"),
        (#"{"id": "a"}"#, "system-name: is missing"),
        (
            #"{"id": "../a", "system-name": "t"}"#,
            "id: must be a UUID or a port name: 1 to 200 printable characters without spaces and '/', not beginning with '.'"
        ),
        (#"{"id": "a", "system-name": "t/u"}"#, "system-name: \"t/u\" is not an interface name (1 to 15 characters)"),
        (#"{"id": "a", "system-name": "sixteen-letters-"}"#, "system-name: \"sixteen-letters-\" is not an interface name (1 to 15 characters)"),
        (
            #"{"id": "a", "system-name": "t", "mac-address": "ff:ff:ff:ff:ff:ff"}"#,
            "mac-address: \"ff:ff:ff:ff:ff:ff\" is not a unicast MAC address, as in 02:00:00:00:01:0a"
        ),
        (#"{"id": "a", "system-name": "t", "ip-address": "fd00::1"}"#, "ip-address: \"fd00::1\" is not an IPv4 address"),
        (#"{"id": "a", "system-name": "t", "ip6-address": "10.0.0.1"}"#, "ip6-address: \"10.0.0.1\" is not an IPv6 address"),
        (#"{"id": "a", "system-name": "t", "type": 2}"#, "type: 2 is not supported; use 0 (virtual machine) or 1 (namespace)"),
        (
            #"{"id": "a", "system-name": "t", "rx-vlan-id": 100}"#,
            "rx-vlan-id: 100 asks for VLAN sub-interfaces, which this agent does not offer; leave it out, or -1"
        ),
        (#"{"id": "a", "system-name": "t", "tx-vlan-id": "x"}"#, "tx-vlan-id: \"x\" is not a whole number"),
        (
            #"{"id": "a", "system-name": "t", "vhostuser-mode": 1}"#,
            "vhostuser-mode: 1 asks for a vhost-user socket, which this agent does not offer; leave it out, or 0"
        ),
        (#"{"id": "a", "system-name": "t", "link-state": false}"#, "link-state: only true: a port that is to be down is not posted, or deleted"),
        (#"{"id": "a", "system-name": "t", "colour": 1}"#, "colour: is not a known field"),
        (#"{"id": 7, "system-name": "t"}"#, "id: must be text"),
        (#"{"id": "a", "system-name": "t", "type": 0.5}"#, "type: must be a whole number"),
        (#"{"id": "a", "system-name": "t", "type": 1e300}"#, "type: must be a whole number"),
    ]
    @Test(arguments: bad.indices) func refused(_ index: Int) {
        let (json, message) = Self.bad[index]
        let error = #expect(throws: PortRequestError.self) { try portRequest(json) }
        #expect(error?.description == message)
    }
}

@Suite struct PortBindingTests {
    func bind(_ ports: [Overlay.Port], _ requests: [PortRequest]) -> [PortBinding.State] {
        PortBinding.bind(ports: Dictionary(uniqueKeysWithValues: ports.map { ($0.name, $0) }), requests: requests, reserved: ["fabric0"]).map(\.state)
    }
    var unattached: Overlay.Port { var port = Fixture.blueA; port.interface = nil; return port }

    @Test func bothPhasesAreNeeded() throws {
        let byUID = try portRequest(#"{"id": "6B1F6D2E-0000-4000-8000-00000000000A", "system-name": "tap1"}"#)
        let byName = try portRequest(#"{"id": "blue-a", "system-name": "tap2"}"#)
        #expect(bind([unattached], []) == [.waiting(reason: "no interface yet: POST /port with id 6b1f6d2e-0000-4000-8000-00000000000a")])
        #expect(bind([], [byName]) == [.waiting(reason: "no Port of this id or name in the configuration yet")])
        #expect(bind([unattached], [byUID]) == [.active(interface: "tap1")])
        #expect(bind([unattached], [byName]) == [.active(interface: "tap2")])
        #expect(bind([Fixture.blueA], []) == [.active(interface: "tap-blue-a")])
    }

    static let mismatches: [(String, String)] = [
        (
            #"{"id": "blue-a", "system-name": "tap-blue-a", "mac-address": "02:00:00:00:00:01"}"#,
            "posted mac-address 02:00:00:00:00:01 is not the configured 02:00:00:00:01:0a"
        ),
        (
            #"{"id": "blue-a", "system-name": "tap-blue-a", "ip-address": "10.1.0.99"}"#,
            "posted address 10.1.0.99 is not among the configured 10.1.0.10, fd00:1::10"
        ),
        (#"{"id": "blue-a", "system-name": "tap9"}"#, "posted system-name tap9 is not the configured interface tap-blue-a"),
    ]
    @Test(arguments: mismatches.indices) func contradictionsWait(_ index: Int) throws {
        let (json, reason) = Self.mismatches[index]
        #expect(try bind([Fixture.blueA], [portRequest(json)]) == [.waiting(reason: reason)])
    }

    /// The network is named by name or by UUID; a UUID that is no network's uid here is an orchestrator's own.
    @Test func theNetworkIsCompared() throws {
        let uid = "5e7d8a90-9d0a-4f0e-8f0e-6f1f8a3a2b11", other = "5e7d8a90-0000-4f0e-8f0e-6f1f8a3a2b12"
        var blue = Fixture.blue, red = Fixture.red
        func state(_ posted: String, _ networks: VirtualNetwork...) throws -> PortBinding.State {
            let request = try portRequest(#"{"id": "blue-a", "system-name": "tap-blue-a", "vn-id": "\#(posted)"}"#)
            return PortBinding.bind(
                ports: ["blue-a": Fixture.blueA], requests: [request], reserved: [],
                networks: Dictionary(uniqueKeysWithValues: networks.map { ($0.name, $0) }))[0].state
        }
        let active = PortBinding.State.active(interface: "tap-blue-a")
        #expect(try state("blue", blue, red) == active && state("blue") == active && state("", blue) == active)
        #expect(try state("red", blue, red) == .waiting(reason: "posted vn-id red is not the configured network blue"))
        #expect(try state("none") == .waiting(reason: "posted vn-id none is not the configured network blue"))
        #expect(try state(uid, blue, red) == active && state(uid) == active)
        red.metadata.uid = other
        #expect(try state(other, blue, red) == .waiting(reason: "posted vn-id \(other) is network red, not the configured network blue"))
        #expect(try state(uid, blue, red) == active)
        blue.metadata.uid = uid
        #expect(try state(uid.uppercased(), blue, red) == active)
        #expect(try state("00000000-0000-4000-8000-000000000001", blue, red) == active)
    }

    @Test func oneInterfaceOnePort() {
        var other = Fixture.redA
        other.interface = "tap-blue-a"
        #expect(
            bind([Fixture.blueA, other], []) == [
                .active(interface: "tap-blue-a"), .waiting(reason: "interface tap-blue-a is already used by port blue-a"),
            ])
        other.interface = "fabric0"
        #expect(bind([other], []) == [.waiting(reason: "interface fabric0 is the node's own (fabric or host)")])
    }
}

@Suite struct PortStoreTests {
    func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ports-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }
    let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    @Test func survivesARestart() throws {
        try withDirectory { directory in
            var store = PortStore(directory: directory, logger: logger)
            store.load()
            #expect(store.requests.isEmpty)
            try store.add([
                portRequest(#"{"id": "a", "system-name": "tap1"}"#), portRequest(#"{"id": "b", "system-name": "tap2", "ip-address": "10.0.0.1"}"#),
            ])
            var again = PortStore(directory: directory, logger: logger)
            again.load()
            #expect(again.requests == store.requests && again.requests["b"]?.addresses == [IPAddress("10.0.0.1")!])
            #expect(try again.remove("a") && again.remove("a") == false)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["b.json"])
        }
    }

    @Test func aCorruptFileIsSkippedAndKept() throws {
        try withDirectory { directory in
            var store = PortStore(directory: directory, logger: logger)
            try store.add([portRequest(#"{"id": "a", "system-name": "tap1"}"#)])
            try Data("{\"id\": \"b\", ".utf8).write(to: URL(fileURLWithPath: directory + "/b.json"))
            try Data(#"{"id": "other", "system-name": "t"}"#.utf8).write(to: URL(fileURLWithPath: directory + "/c.json"))
            store.load()
            #expect(store.requests.keys.sorted() == ["a"])
            #expect(FileManager.default.fileExists(atPath: directory + "/b.json") && FileManager.default.fileExists(atPath: directory + "/c.json"))
        }
    }

    @Test func allOrNone() throws {
        try withDirectory { directory in
            // A directory where the second file should be renamed to makes the renaming fail.
            var store = PortStore(directory: directory, logger: logger)
            try FileManager.default.createDirectory(atPath: directory + "/b.json/x", withIntermediateDirectories: true)
            #expect(throws: (any Error).self) {
                try store.add([portRequest(#"{"id": "b", "system-name": "tap2"}"#), portRequest(#"{"id": "a", "system-name": "tap1"}"#)])
            }
            #expect(store.requests.isEmpty)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["b.json"])
        }
    }
}
