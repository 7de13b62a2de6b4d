import Foundation

/// A program that was started here, and is ended here, by its number.
final class Running {
    let name: String
    private let process = Process()
    private let logPath: String

    /// Output and errors go to a file in `folder`.
    init(_ name: String, _ executable: String, _ arguments: [String], environment: [String: String] = [:], folder: String) throws {
        self.name = name
        logPath = "\(folder)/\(name.split(separator: " ").first ?? "program").log"
        guard FileManager.default.createFile(atPath: logPath, contents: nil), let log = FileHandle(forWritingAtPath: logPath) else {
            throw MeasureError(description: "cannot write \(logPath)")
        }
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = log
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        do { try process.run() } catch { throw MeasureError(description: "\(executable) does not start: \(error)") }
        Interruption.began(process.processIdentifier)
    }

    var pid: Int32 { process.processIdentifier }

    func check() throws {
        guard process.isRunning else { throw MeasureError(description: "\(name) ended by itself; \(log())") }
    }

    /// The end of what it wrote.
    func log() -> String {
        let text = (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? ""
        return "it wrote:\n" + text.split(separator: "\n").suffix(12).joined(separator: "\n")
    }

    var output: String { (try? String(contentsOfFile: logPath, encoding: .utf8)) ?? "" }

    /// SIGTERM, and SIGKILL when that is not enough for it.
    func end(after seconds: Double = 5) {
        defer { Interruption.ended(process.processIdentifier) }
        guard process.isRunning else { return }
        process.terminate()
        let deadline = Date().addingTimeInterval(seconds)
        while process.isRunning, Date() < deadline { Thread.sleep(forTimeInterval: 0.01) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
    }
}

/// Runs a command to its end; what it wrote, or an error with that in it.
@discardableResult
func command(_ words: [String], environment: [String: String] = [:]) throws -> String {
    let process = Process(), pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw MeasureError(description: "\(words.joined(separator: " ")): \(text)") }
    return text
}
