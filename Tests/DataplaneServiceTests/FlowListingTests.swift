import DataplaneAPI
import Foundation
import NetTypes
import SwiftProtobuf
import Testing

@testable import Dataplane
@testable import DataplaneService

/// Flows as they are listed. What `FlowBatchEncoder` writes is what the generated code would have written of the same flow, whatever is in it.
@Suite struct FlowListingTests {
    private func reading(_ random: inout SystemRandomNumberGenerator) -> FlowReading {
        func number<Number: FixedWidthInteger & UnsignedInteger>(_: Number.Type) -> Number {
            // Small ones, large ones and zero.
            switch Int.random(in: 0..<4, using: &random) {
            case 0: 0
            case 1: .max
            case 2: Number.random(in: 0...127, using: &random)
            default: Number.random(in: 0...(.max), using: &random)
            }
        }
        let isIPv4 = Bool.random(using: &random)
        func address() -> IPAddress {
            isIPv4 ? .v4(IPv4Address(rawValue: number(UInt32.self))) : .v6(IPv6Address(high: number(UInt64.self), low: number(UInt64.self)))
        }
        let action = FlowAction.allCases.randomElement(using: &random)!
        var spec = FlowSpec(
            key: FlowKeySpec(
                vrf: VRFID(number(UInt32.self)), source: address(), destination: address(), proto: number(UInt8.self),
                sourcePort: number(UInt16.self),
                destinationPort: number(UInt16.self)), action: action,
            translation: action == .nat
                ? FlowTranslation(
                    source: Bool.random(using: &random) ? address() : nil, destination: Bool.random(using: &random) ? address() : nil,
                    sourcePort: Bool.random(using: &random) ? number(UInt16.self) : nil,
                    destinationPort: Bool.random(using: &random) ? number(UInt16.self) : nil,
                    vrf: Bool.random(using: &random) ? VRFID(number(UInt32.self)) : nil) : nil, cookie: number(UInt64.self))
        spec.qosMap = number(UInt8.self)
        spec.mirror = number(UInt8.self)
        return FlowReading(
            spec: spec, index: number(UInt32.self), reverseIndex: Bool.random(using: &random) ? number(UInt32.self) : nil,
            generation: number(UInt32.self), packets: number(UInt64.self), bytes: number(UInt64.self),
            tcpState: ["", "S", "SSrEEr"].randomElement(using: &random)!,
            ingressVif: VifID(number(UInt32.self)), nextHop: NextHopID(number(UInt32.self)), idleSeconds: Int(number(UInt32.self)),
            isForward: Bool.random(using: &random), udpSourcePort: number(UInt16.self),
            dropReason: action == .drop ? FlowDropReason.allCases.randomElement(using: &random) : nil, owner: VifID(number(UInt32.self)),
            isEvicted: Bool.random(using: &random))
    }

    @Test func aBatchIsWhatTheGeneratedCodeMakesOfIt() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let readings = (0..<Int.random(in: 0..<5)).map { _ in reading(&random) }
            var encoder = FlowBatchEncoder(capacity: 4)
            for reading in readings { encoder.add(reading) }
            let message = try Dataplane_V1_FlowBatch(serializedBytes: encoder.octets)
            #expect(message.flows == readings.map { Dataplane_V1_Flow($0) })
        }
    }

    @Test func hostileFiltersAreRefusedInWords() throws {
        func refusal(_ change: (inout Dataplane_V1_FlowFilter) -> Void) -> String {
            var message = Dataplane_V1_FlowFilter()
            change(&message)
            let result = Result { () throws(FieldError) in try FlowFilter(message) }
            if case .failure(let error) = result { return error.description }
            return ""
        }
        #expect(refusal { _ in } == "")
        #expect(refusal { $0.endpoints = [.init(), .init(), .init()] } == "filter.endpoints: 3 endpoints: a flow has two")
        #expect(refusal { $0.endpoints = [.with { $0.address = Data([1, 2, 3]) }] }.hasPrefix("filter.endpoints[0].address: 01:02:03"))
        #expect(refusal { $0.endpoints = [.with { $0.port = 65_536 }] } == "filter.endpoints[0].port: 65536: has 16 bits: at most 65535")
        #expect(refusal { $0.protocol = 256 }.hasPrefix("filter.protocol: 256"))
        #expect(refusal { $0.action = .UNRECOGNIZED(77) } == "filter.action: 77: no such action")
        #expect(refusal { $0.dropReason = "Whim" }.hasPrefix("filter.drop_reason: \"Whim\": is none of Unknown, Policy"))
    }
}
