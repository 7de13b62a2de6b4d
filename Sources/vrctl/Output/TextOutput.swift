import Foundation

/// Where text goes: standard output, standard error, or a test.
protocol TextOutput: Sendable {
    func write(_ text: String)
}

/// Writes straight to a descriptor. A reader that went away (`vrctl flow -l | head`) ends the program as SIGPIPE would.
struct FileOutput: TextOutput {
    var descriptor: CInt
    func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var rest = bytes[...]
            while let base = UnsafeBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
                #if canImport(Glibc)
                let count = Glibc.write(descriptor, base, rest.count)
                #else
                let count = Darwin.write(descriptor, base, rest.count)
                #endif
                if count > 0 { rest = rest.dropFirst(count); continue }
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                if errno == EPIPE { exit(128 + SIGPIPE) }
                return
            }
        }
    }
}
