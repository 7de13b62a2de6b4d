import Dataplane
import DataplaneAPI
import GRPCCore
import NetTypes
import SwiftProtobuf
import Testing

@testable import DataplaneService

/// Apply requests are read by hand where they are plain routes: what is understood has to be what the generated code understands.
@Suite struct ApplyCodingTests {
    /// Repeatable.
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    private func decode(_ octets: [UInt8]) -> ApplyBatch? { try? ApplyRequestDeserializer().deserialize(octets) }
    private func generated(_ octets: [UInt8]) -> ApplyBatch? {
        (try? Dataplane_V1_ApplyRequest(serializedBytes: octets)).map { ApplyBatch($0.operations) }
    }

    private func isSame(_ a: ApplyBatch?, _ b: ApplyBatch?) -> Bool {
        guard let a, let b else { return a == nil && b == nil }
        return a.count == b.count && a.operations == b.operations && a.refusals.map(\.place) == b.refusals.map(\.place)
            && a.refusals.map(\.outcome) == b.refusals.map(\.outcome)
    }

    private func route(_ random: inout Random) -> Dataplane_V1_Route {
        .with {
            let isIPv4 = Bool.random(using: &random)
            $0.vrf = .random(in: 0...5000, using: &random)
            $0.prefixLength = .random(in: 0...(isIPv4 ? 33 : 129), using: &random)
            // Mostly right; sometimes with bits behind the prefix, or of no address's length.
            var octets = (0..<(isIPv4 ? 4 : 16)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if Int.random(in: 0..<20, using: &random) > 0, let address = IPAddress(bytes: octets),
                let prefix = IPPrefix(masking: address, length: Int($0.prefixLength))
            {
                octets = prefix.address.bytes
            }
            if Int.random(in: 0..<40, using: &random) == 0 { octets.removeLast() }
            $0.address = .init(octets)
            $0.nextHop = .random(in: 0...(.max), using: &random)
            if Bool.random(using: &random) { $0.label = .random(in: 0...(1 << 24), using: &random) }
            $0.proxies = Bool.random(using: &random)
            if Bool.random(using: &random) { $0.mac = .init((0..<6).map { _ in UInt8.random(in: 0...255, using: &random) }) }
            if Bool.random(using: &random) { $0.cookie = .random(in: 0...(.max), using: &random) }
        }
    }

    private func request(_ random: inout Random, count: Int) throws -> [UInt8] {
        let operations: [Dataplane_V1_Operation] = (0..<count).map { _ in
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                .upsert(
                    .vrf(
                        .with {
                            $0.id = .random(in: 0...9, using: &random); $0.name = "v"
                        }))
            case 1:
                .delete(
                    .route(
                        .with {
                            $0.vrf = 1; $0.address = .init([10, 0, 0, 0]); $0.prefixLength = 8
                        }))
            case 2: Dataplane_V1_Operation()
            default: .upsert(.route(route(&random)))
            }
        }
        return try Dataplane_V1_ApplyRequest.with { $0.operations = operations }.serializedBytes()
    }

    @Test func requestsMeanWhatTheGeneratedCodeSays() throws {
        var random = Random(state: 11)
        var routes = 0
        for _ in 0..<300 {
            let octets = try request(&random, count: .random(in: 0...20, using: &random))
            let batch = decode(octets)
            #expect(batch != nil && isSame(batch, generated(octets)))
            routes += octets.withUnsafeBytes { try? ApplyRequestDeserializer.batch($0) }?.operations.count ?? 0
        }
        #expect(routes > 1000, "the hand-written way was taken")
    }

    /// Octets turned, cut off, repeated.
    @Test func damagedRequestsToo() throws {
        var random = Random(state: 12)
        var refused = 0
        for _ in 0..<20_000 {
            var octets = try request(&random, count: 2)
            for _ in 0...Int.random(in: 0...2, using: &random) where !octets.isEmpty {
                let at = Int.random(in: octets.indices, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: octets[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 1: octets.remove(at: at)
                case 2: octets.insert(octets[at], at: at)
                default: octets.removeLast(octets.count - at)
                }
            }
            let batch = decode(octets)
            if batch == nil { refused += 1 }
            #expect(isSame(batch, generated(octets)), "\(octets)")
        }
        #expect(refused > 1000)
    }

    /// A field that comes twice counts as it came last, and one that is not known is passed over (protobuf.dev, encoding).
    @Test func repeatedAndUnknownFields() throws {
        let route: [UInt8] = [0x08, 1, 0x12, 4, 10, 0, 0, 0, 0x18, 24, 0x18, 8, 0x20, 7]
        for extra in [[], [0x98, 0x06, 5], [0x08, 2], [0x28, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], [0x08, 0x80]] as [[UInt8]] {
            let message = route + extra
            let object = [0x2A, UInt8(message.count)] + message
            let operation = [0x0A, UInt8(object.count)] + object
            let octets = [0x0A, UInt8(operation.count)] + operation
            #expect(isSame(decode(octets), generated(octets)), "\(extra)")
        }
        #expect(isSame(decode([0x0A, 0x0A, 1]), generated([0x0A, 0x0A, 1])))
    }

    @Test func tooManyOperationsAreCountedAndNotKept() throws {
        let octets: [UInt8] = try Dataplane_V1_ApplyRequest.with {
            $0.operations = Array(repeating: .upsert(.label(.with { $0.label = 20 })), count: DataplaneClient.maximumBatch + 5)
        }.serializedBytes()
        let batch = try #require(decode(octets))
        #expect(batch.count == DataplaneClient.maximumBatch + 5)
        #expect(batch.operations.count == DataplaneClient.maximumBatch)
    }

    @Test func answersAreThoseOfTheGeneratedCode() throws {
        let outcomes: [RouterOutcome] = [.ok, .invalid("a"), .ok, .ok, .notFound(String(repeating: "long ", count: 40)), .tableFull(""), .ok]
        let octets: [UInt8] = try ApplyResponseSerializer().serialize(outcomes)
        let response = try Dataplane_V1_ApplyResponse(serializedBytes: octets)
        #expect(response.results == outcomes.map { Dataplane_V1_Result($0) })
    }
}
