/// A filter program of the classic BSD packet filter (McCanne and Jacobson, 1993), as `pcap_compile` makes it, run by the worker over frames that somebody
/// watches: what does not match is not copied, so a filter keeps a busy interface from flooding who looks at one address.
///
/// A program is checked once (`init`): every jump goes forward and lands inside, every memory word exists, the last instruction returns. So it always ends, and it
/// reads only octets of the frame: a load beyond them ends it with "no match", as in the kernel.
public final class PacketFilter: Sendable {
    public struct Instruction: Hashable, Sendable {
        public var code: UInt16, jumpTrue: UInt8, jumpFalse: UInt8, k: UInt32
        public init(code: UInt16, jumpTrue: UInt8, jumpFalse: UInt8, k: UInt32) {
            self.code = code
            self.jumpTrue = jumpTrue
            self.jumpFalse = jumpFalse
            self.k = k
        }
    }
    public static let maximumLength = 4096

    private nonisolated(unsafe) let program: UnsafeMutablePointer<Instruction>
    private let count: Int

    /// nil: the program is empty, too long, jumps out of itself, uses an instruction or a memory word that there is not, or does not end by returning.
    public init?(_ instructions: [Instruction]) {
        guard (1...Self.maximumLength).contains(instructions.count), instructions[instructions.count - 1].code & 7 == 6 else { return nil }
        for (index, instruction) in instructions.enumerated() {
            let rest = instructions.count - index - 1
            switch instruction.code {
            case 0x00, 0x01, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x81, 0xB1: break
            case 0x60, 0x61, 0x02, 0x03: guard instruction.k < 16 else { return nil }
            case 0x04, 0x14, 0x24, 0x44, 0x54, 0x64, 0x74, 0xA4, 0x0C, 0x1C, 0x2C, 0x3C, 0x4C, 0x5C, 0x6C, 0x7C, 0x9C, 0xAC, 0x84: break
            case 0x34, 0x94: guard instruction.k != 0 else { return nil }
            case 0x05: guard instruction.k < rest else { return nil }
            case 0x15, 0x25, 0x35, 0x45, 0x1D, 0x2D, 0x3D, 0x4D:
                guard instruction.jumpTrue < rest, instruction.jumpFalse < rest else { return nil }
            case 0x06, 0x16, 0x07, 0x87: break
            default: return nil
            }
        }
        count = instructions.count
        program = .allocate(capacity: count)
        program.initialize(from: instructions, count: count)
    }

    deinit { program.deallocate() }

    public func matches(_ octets: [UInt8]) -> Bool { octets.withUnsafeBytes { $0.baseAddress.map { matches($0, octets.count) } ?? false } }

    func matches(_ p: UnsafeRawPointer, _ length: Int) -> Bool {
        var a: UInt32 = 0, x: UInt32 = 0, at = 0
        return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 16) { memory in
            memory.initialize(repeating: 0)
            while at < count {
                let instruction = program[at], k = instruction.k
                at &+= 1
                switch instruction.code {
                case 0x20, 0x28, 0x30, 0x40, 0x48, 0x50:
                    let offset = Int(k) &+ (instruction.code & 0x40 != 0 ? Int(x) : 0), size = instruction.code & 0x18
                    guard offset &+ (size == 0 ? 4 : size == 8 ? 2 : 1) <= length else { return false }
                    a = size == 0 ? p.word32(offset) : size == 8 ? UInt32(p.word16(offset)) : UInt32(p.load(fromByteOffset: offset, as: UInt8.self))
                case 0x00: a = k
                case 0x01: x = k
                case 0x80: a = UInt32(truncatingIfNeeded: length)
                case 0x81: x = UInt32(truncatingIfNeeded: length)
                case 0xB1:
                    guard Int(k) < length else { return false }
                    x = UInt32(p.load(fromByteOffset: Int(k), as: UInt8.self) & 15) << 2
                case 0x60: a = memory[Int(k)]
                case 0x61: x = memory[Int(k)]
                case 0x02: memory[Int(k)] = a
                case 0x03: memory[Int(k)] = x
                case 0x07: x = a
                case 0x87: a = x
                case 0x84: a = 0 &- a
                case 0x05: at &+= Int(k)
                case 0x06: return k != 0
                case 0x16: return a != 0
                default:
                    let operand = instruction.code & 8 != 0 ? x : k
                    if instruction.code & 7 == 5 {
                        let isTrue =
                            switch instruction.code & 0xF0 {
                            case 0x10: a == operand
                            case 0x20: a > operand
                            case 0x30: a >= operand
                            default: a & operand != 0
                            }
                        at &+= Int(isTrue ? instruction.jumpTrue : instruction.jumpFalse)
                    } else {
                        guard let result = Self.compute(instruction.code & 0xF0, a, operand) else { return false }
                        a = result
                    }
                }
            }
            return false
        }
    }

    /// nil: a division by zero.
    private static func compute(_ operation: UInt16, _ a: UInt32, _ operand: UInt32) -> UInt32? {
        switch operation {
        case 0x00: a &+ operand
        case 0x10: a &- operand
        case 0x20: a &* operand
        case 0x30: operand == 0 ? nil : a / operand
        case 0x90: operand == 0 ? nil : a % operand
        case 0x40: a | operand
        case 0x50: a & operand
        case 0x60: operand < 32 ? a << operand : 0
        case 0x70: operand < 32 ? a >> operand : 0
        default: a ^ operand
        }
    }
}
