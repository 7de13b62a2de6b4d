import DPDKPort
public import Dataplane
import StrictYAML

/// A configuration made into a router: buffers, ports, objects.
public struct ConfiguredRouter: Sendable {
    public let router: Router
    public let configuration: VRouterConfiguration

    /// Why a configuration that reads well cannot be brought up; every reason is a line for the operator.
    public struct Failure: Error, Sendable, CustomStringConvertible {
        public var reasons: [String]
        public var description: String { reasons.joined(separator: "\n") }
    }

    /// Opens everything. The workers are not started.
    public init(_ configuration: VRouterConfiguration) throws(Failure) {
        let pool: BufferPool
        do { pool = try PortFactory.makePool(configuration) } catch { throw Failure(reasons: ["\(error)"]) }
        let dpdkIsStarted = configuration.dpdkArguments != nil
        let router = Router(configuration.router, pool: pool) { spec throws(PortError) in try PortFactory.open(spec, dpdkIsStarted: dpdkIsStarted) }
        self.init(router: router, configuration: configuration)
        do { try applyObjects() } catch {
            router.stop()
            throw error
        }
    }

    private init(router: Router, configuration: VRouterConfiguration) {
        self.router = router
        self.configuration = configuration
    }

    /// Builds the same tables with a loopback port in the place of every device, so that what the router would refuse is found
    /// without touching a device: `--check-config`.
    public static func check(_ configuration: VRouterConfiguration) throws(Failure) {
        let pool: BufferPool
        do { pool = try HeapBufferPool(capacity: 64) } catch { throw Failure(reasons: ["\(error)"]) }
        let needsDPDK = configuration.objects.filter { if case .port(let spec) = $0.object, case .dpdk = spec.driver { true } else { false } }
        if configuration.dpdkArguments == nil, !needsDPDK.isEmpty {
            throw Failure(reasons: needsDPDK.map { $0.refused("a DPDK port needs DPDK started: add a section `dpdk: {eal: […]}`") })
        }
        let router = Router(configuration.router, pool: pool) { spec throws(PortError) in
            try DPDK.check(spec)
            return LoopbackPort(name: spec.name, mtu: spec.mtu)
        }
        defer { router.stop() }
        var configuration = configuration
        // A mirror's file is not made, and not emptied when it is there.
        for index in configuration.objects.indices {
            guard case .mirror(var spec) = configuration.objects[index].object, case .file(_, let size, let files) = spec.destination else {
                continue
            }
            spec.destination = .file(path: "/dev/null", maximumSize: size, maximumFiles: files)
            configuration.objects[index].object = .mirror(spec)
        }
        try ConfiguredRouter(router: router, configuration: configuration).applyObjects()
    }

    private func applyObjects() throws(Failure) {
        let outcomes = router.apply(configuration.objects.map { .upsert($0.object) })
        let reasons = zip(configuration.objects, outcomes).compactMap { object, outcome in outcome.text.map { object.refused($0) } }
        if !reasons.isEmpty { throw Failure(reasons: reasons) }
    }

    /// Every port is a capture file, a replay with a count, loops back or is a sink, at least one is of the first two, and nobody can add ports:
    /// the run has an end.
    public var isOffline: Bool {
        guard configuration.socket == nil else { return false }
        let drivers = configuration.objects.compactMap { if case .port(let spec) = $0.object { spec.driver } else { nil } }
        var files = 0
        for driver in drivers {
            switch driver {
            case .pcapFile: files += 1
            case .replay(_, let count):
                guard count != nil else { return false }
                files += 1
            case .loopback, .sink: break
            case .pcap, .dpdk: return false
            }
        }
        return files > 0
    }
}

extension ConfiguredObject {
    func refused(_ reason: String) -> String {
        var error = place
        error.message = reason
        return error.description
    }
}

extension RouterOutcome {
    /// The reason of a refusal; nil when applied.
    var text: String? {
        switch self {
        case .ok: nil
        case .invalid(let text), .notFound(let text), .inUse(let text), .tableFull(let text), .portFailed(let text), .unsupported(let text): text
        }
    }
}
