import DataplaneAPI
import Testing

@testable import DataplaneService

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite struct SocketTests {
    private func mode(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
    }

    @Test func theSocketIsForUserAndGroup() async throws {
        try await withTemporaryDirectory { directory in
            let listener = try SocketListener(path: directory + "/s")
            #expect(mode(directory + "/s") == 0o660)
            #expect(UnixSocket.probe(directory + "/s") == .answers)
            listener.abandon()
            #expect(mode(directory + "/s") == nil)
        }
    }

    @Test func aSecondInstanceIsRefused() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/s"
            let first = try SocketListener(path: path)
            let error = #expect(throws: ServerError.self) { try SocketListener(path: path) }
            #expect(error?.description.contains("another vrouter serves it") == true)
            #expect(UnixSocket.probe(path) == .answers)
            first.abandon()
            let second = try SocketListener(path: path)
            second.abandon()
        }
    }

    @Test func aStaleFileIsReplaced() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/s"
            let dead = try SocketListener(path: path)
            close(dead.descriptor)  // as when the process was killed: the file stays, nobody listens, the lock is free
            #expect(UnixSocket.probe(path) == .refused)
            rename(path, path + ".kept")
            dead.remove()
            rename(path + ".kept", path)
            let next = try SocketListener(path: path)
            #expect(UnixSocket.probe(path) == .answers)
            next.abandon()
        }
    }

    @Test func anythingElseAtThePathIsLeftAlone() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/file"
            close(open(path, O_CREAT | O_WRONLY, 0o600))
            let error = #expect(throws: ServerError.self) { try SocketListener(path: path) }
            #expect(error?.description.contains("not a socket") == true)
            #expect(mode(path) == 0o600)
        }
    }

    @Test func pathsThatCannotBe() throws {
        let long = #expect(throws: ServerError.self) { try SocketListener(path: "/tmp/" + String(repeating: "x", count: 200)) }
        #expect(long?.description.contains("longer than the") == true)
        let missing = #expect(throws: ServerError.self) { try SocketListener(path: "/nonexistent/s") }
        #expect(missing?.description.contains("directory does not exist") == true)
        #expect(throws: ServerError.self) { try SocketListener(path: "") }
    }

    @Test func theClientSaysWhyNobodyAnswers() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/s"
            var error = await #expect(throws: DataplaneError.self) { _ = try await DataplaneClient.connect(socket: path) }
            #expect(error?.isUnreachable == true)
            #expect(error?.description.hasPrefix(path + ": no such socket") == true)
            let dead = try SocketListener(path: path)
            close(dead.descriptor)
            error = await #expect(throws: DataplaneError.self) { _ = try await DataplaneClient.connect(socket: path) }
            #expect(error?.description.hasPrefix(path + ": nobody listens") == true)
            dead.remove()
            close(open(path, O_CREAT | O_WRONLY, 0o600))
            error = await #expect(throws: DataplaneError.self) { _ = try await DataplaneClient.connect(socket: path) }
            #expect(error?.description == path + ": this is not a socket")
        }
    }
}
