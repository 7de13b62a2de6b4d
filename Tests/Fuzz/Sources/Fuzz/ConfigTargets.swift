import Overlay
import StrictYAML

@testable import Dataplane
@testable import DataplaneService

/// Files and documents of operators: whatever is in them they are read, or refused with a reason; what was read can be written and read again.
@MainActor enum ConfigTargets {
    /// Objects for the controller, in YAML and in JSON.
    static func objects(_ input: UnsafeRawBufferPointer) {
        let text = String(decoding: input, as: UTF8.self)
        do throws(ConfigError) {
            for object in try YAMLDocuments.parse(text: text, source: "fuzz") { survives(object) }
        } catch {
            require(!error.message.isEmpty, "no reason")
        }
        if let object = try? ConfigObject(json: text) { survives(object) }
    }

    private static func survives(_ object: ConfigObject) {
        do throws(ConfigError) {
            require(try YAMLDocuments.parse(text: object.yaml, source: "again") == [object], "YAML: \(object.yaml)")
            require(try ConfigObject(json: object.json) == object, "JSON: \(object.json)")
            require(try ConfigObject(element: object.element) == object, "XML: \(object.element)")
        } catch {
            fatalError("\(object) is not read again: \(error)")
        }
    }

    /// vrouter.yaml: what it says is applied to a router, with a port of memory in the place of each device.
    static func vrouterYAML(_ input: UnsafeRawBufferPointer) {
        let text = String(decoding: input, as: UTF8.self)
        let configuration: VRouterConfiguration
        do throws(ConfigError) { configuration = try VRouterConfiguration.parse(text, source: "fuzz") } catch {
            return require(!error.message.isEmpty, "no reason")
        }
        guard !configuration.objects.isEmpty else { return }
        let bench = SmallRouter()
        let outcomes = bench.router.apply(configuration.objects.map { .upsert($0.object) }.filter(SmallRouter.isHarmless))
        // Said once more, what was taken is taken again.
        let taken = zip(configuration.objects.filter { SmallRouter.isHarmless(.upsert($0.object)) }, outcomes).filter { $0.1 == .ok }.map(\.0)
        bench.pass()
        _ = bench.router.apply(taken.map { .upsert($0.object) })
        bench.pass()
    }
}

/// A router of few entries whose ports are memory.
@MainActor final class SmallRouter {
    let router: Router
    let pool = FuzzPool()
    private let ports = Opened()

    private final class Opened: @unchecked Sendable { var list: [FuzzPort] = [] }

    init() {
        let pool = pool, opened = ports
        router = Router(
            RouterConfiguration(idle: .poll, flowCapacity: 1024, nextHopCapacity: 256, vifCapacity: 64, vrfCapacity: 64), pool: pool
        ) { spec throws(PortError) in
            guard opened.list.count < 32 else { throw PortError("enough ports") }
            let port = FuzzPort(spec.name, pool: pool, mtu: spec.mtu == 0 ? 1500 : spec.mtu)
            opened.list.append(port)
            return port
        }
    }

    /// Nothing that writes files.
    static func isHarmless(_ operation: RouterOperation) -> Bool {
        if case .upsert(.mirror(let mirror)) = operation, case .file = mirror.destination { return false }
        return true
    }

    /// From a workload to another, from a tunnel, and to everybody.
    private static let frames: [[UInt8]] = [
        octets("020000000102 020000000101 0800 4500001c00000000401166b60a01000b0a01000c03e807d000080000"),
        octets("00005e000100 020000000101 0800 4500001c00000000401166b60a01000b0a01000c03e807d000080000"),
        octets("ffffffffffff 020000000101 0806 0001080006040001 020000000101 0a01000b 000000000000 0a010001"),
        octets(
            "020000000f01 020000000f02 0800 4500004e000000004011 66820a00000c0a00000b c35012b5003a0000 0800000000138900"
                + "00005e000100 020000000102 0800 4500001c00000000401166b60a01000c0a01000b03e807d000080000"),
        octets("33330000 0001 020000000101 86dd 6000000000003aff fe800000000000000000000000000001 ff020000000000000000000000000001"),
    ]
    private static func octets(_ text: String) -> [UInt8] {
        let digits = text.filter { $0 != " " }
        return stride(from: 0, to: digits.count - 1, by: 2).map { at in
            let begin = digits.index(digits.startIndex, offsetBy: at)
            return UInt8(digits[begin...digits.index(after: begin)], radix: 16) ?? 0
        }
    }

    /// A few frames in at every port: counters add up, and no buffer is lost.
    func pass() {
        for port in ports.list { port.input = Self.frames }
        router.runUntilExhausted()
        let totals = router.status().totals
        require(totals.isBalanced, "counters: \(totals)")
        require(pool.outstanding == 0, "\(pool.outstanding) buffers are out")
        for port in ports.list { port.output = [] }
    }
}
