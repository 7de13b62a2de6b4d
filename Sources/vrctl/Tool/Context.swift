import Foundation

/// The process around a command, as a value: tests run commands with another one.
struct Context: Sendable {
    var output: any TextOutput
    var errors: any TextOutput
    var environment: [String: String]
    var routers: any RouterConnector
    var web: any WebClient
    var pause: @Sendable (Duration) async throws -> Void
    /// The text of a file; `-` is standard input.
    var readFile: @Sendable (String) throws -> String
    var now: @Sendable () -> Date
    /// Colours are used: a terminal, and NO_COLOR is not set (no-color.org).
    var usesColour: Bool

    @TaskLocal static var current = Context.process()

    static func process() -> Context {
        let environment = ProcessInfo.processInfo.environment
        return Context(
            output: FileOutput(descriptor: STDOUT_FILENO), errors: FileOutput(descriptor: STDERR_FILENO), environment: environment,
            routers: SocketRouterConnector(), web: HTTPWebClient(), pause: { try await Task.sleep(for: $0) }, readFile: readTextFile, now: { Date() },
            usesColour: isatty(STDOUT_FILENO) == 1 && (environment["NO_COLOR"] ?? "").isEmpty)
    }
}

/// Largest configuration file that is read: 64 MiB.
private let largestFile = 64 << 20

@Sendable private func readTextFile(_ path: String) throws -> String {
    let data: Data
    do {
        let handle = path == "-" ? FileHandle.standardInput : try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        data = try handle.read(upToCount: largestFile + 1) ?? Data()
    } catch {
        throw Failure.refused("cannot read \(path): \(describe(error)); name a readable file, or - for standard input")
    }
    guard data.count <= largestFile else { throw Failure.refused("\(path) is larger than \(largestFile >> 20) MiB; split it into several files") }
    guard let text = String(bytes: data, encoding: .utf8) else { throw Failure.refused("\(path) is not UTF-8 text; convert it first") }
    return text
}

/// The system's own words for a Cocoa error, where there are some.
func describe(_ error: any Error) -> String {
    let error = error as NSError
    if let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError, cause.domain == NSPOSIXErrorDomain {
        return String(cString: strerror(CInt(truncatingIfNeeded: cause.code)))
    }
    if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(CInt(truncatingIfNeeded: error.code))) }
    switch CocoaError.Code(rawValue: error.code) {
    case .fileReadNoSuchFile, .fileNoSuchFile: return "no such file"
    case .fileReadNoPermission: return "permission denied"
    default: return error.localizedDescription
    }
}
