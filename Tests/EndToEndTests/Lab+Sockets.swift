import Foundation

/// Conversations over real sockets, for tests of what may talk to whom.
extension Lab {
    func apply(_ yaml: String) throws {
        let outcome = try vrctl("node1", "apply", "-f", "-", input: yaml)
        guard outcome.status == 0 else { throw Failure(outcome.both) }
    }

    /// TCP and UDP servers that say back what they hear, on each of these addresses and ports.
    func echoServer(in workload: String, _ addresses: [String], _ ports: [Int]) throws -> Background {
        let program = """
            import socket, threading
            def serve(c):
                while True:
                    d = c.recv(4096)
                    if not d: return
                    c.sendall(d)
            def stream(s):
                s.listen(16); print("ready", flush=True)
                while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
            def datagrams(s):
                print("ready", flush=True)
                while True:
                    d, a = s.recvfrom(4096)
                    s.sendto(d, a)
            for p in \(ports):
                for a in \(addresses):
                    for kind, run in ((socket.SOCK_STREAM, stream), (socket.SOCK_DGRAM, datagrams)):
                        s = socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, kind)
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((a, p))
                        threading.Thread(target=run, args=(s,)).start()
            """
        let process = try start(in: workload, [Place.python, "-c", program])
        try eventually("the servers in \(workload)") {
            guard process.isRunning else { throw Failure(process.errors) }
            return process.output.matches(of: /ready/).count == ports.count * addresses.count * 2
        }
        return process
    }

    /// Whether an echo server answers within a second; `proto`: tcp, udp. `source`: an address of the workload's to ask from.
    func answers(_ workload: String, _ proto: String, _ address: String, _ port: Int, from source: String = "") throws -> Bool {
        let program = """
            import socket, sys
            s = socket.socket(socket.AF_INET6 if ":" in "\(address)" else socket.AF_INET, socket.SOCK_\(proto == "tcp" ? "STREAM" : "DGRAM"))
            s.settimeout(1)
            if "\(source)": s.bind(("\(source)", 0))
            s.connect(("\(address)", \(port))); s.send(b"hello")
            sys.exit(0 if s.recv(100) == b"hello" else 2)
            """
        return try run(in: workload, [Place.python, "-c", program]).status == 0
    }

    /// TCP connections that say something and wait for the echo, again and again. They do not see one packet that is lost, it is sent again: for that there are `SteadyPing` and
    /// `steadyDatagrams`. Each line is a connection's index, a number, and `ok` or `silent`.
    func talk(in workload: String, _ ends: [(address: String, port: Int)]) throws -> Talk {
        let list = ends.map { "(\"\($0.address)\", \($0.port))" }.joined(separator: ", ")
        let program = """
            import socket, time
            all = [socket.create_connection(e, 5) for e in [\(list)]]
            for s in all: s.settimeout(0.5)
            n = 0
            while True:
                n += 1
                for i, s in enumerate(all):
                    try:
                        s.sendall(b"x" * 10); print(i, n, "ok" if s.recv(100) else "closed", flush=True)
                    except OSError: print(i, n, "silent", flush=True)
                time.sleep(0.02)
            """
        return Talk(process: try start(in: workload, [Place.python, "-c", program]))
    }

    /// Datagrams to an echo server from so many sockets, one each every 10 ms, numbered: what is lost is lost, and shows. `from`: the first socket's port, and so on; 0: any.
    func steadyDatagrams(in workload: String, to address: String, _ port: Int, sockets: Int = 1, from: Int = 0) throws -> SteadyDatagrams {
        let program = """
            import selectors, socket, time
            all = [socket.socket(socket.AF_INET6 if ":" in "\(address)" else socket.AF_INET, socket.SOCK_DGRAM) for _ in range(\(sockets))]
            sel = selectors.DefaultSelector()
            for i, s in enumerate(all): s.setblocking(False); s.bind(("", \(from) and \(from) + i)); s.connect(("\(address)", \(port))); sel.register(s, selectors.EVENT_READ, i)
            n, due = 0, time.monotonic()
            while True:
                if time.monotonic() >= due:
                    n, due = n + 1, time.monotonic() + 0.01
                    for s in all:
                        try: s.send(b"%d" % n)
                        except OSError: pass
                for key, _ in sel.select(max(0, due - time.monotonic())):
                    try: print(key.data, key.fileobj.recv(100).decode(), flush=True)
                    except OSError: pass
            """
        let steady = SteadyDatagrams(process: try start(in: workload, [Place.python, "-c", program]), sockets: sockets)
        try eventually("the first answers to \(workload)") { steady.answered.allSatisfy { !$0.isEmpty } }
        return steady
    }

    /// A datagram that is under way at the end is not a lost one, nor are those after the last that was answered: a gap is.
    struct SteadyDatagrams {
        fileprivate let process: Background
        fileprivate let sockets: Int

        fileprivate var answered: [Set<Int>] {
            process.output.matches(of: /(\d+) (\d+)\n/).reduce(into: Array(repeating: [], count: sockets)) { answered, line in
                if let socket = Int(line.1), let number = Int(line.2), socket < sockets { answered[socket].insert(number) }
            }
        }

        /// Goes on until any has had so many more answers, ends, and returns the number of each socket's last answer and which before it there were none to.
        func end(after count: Int = 50) throws -> [(last: Int, lost: [Int])] {
            let before = answered.map(\.count)
            try eventually("\(count) more answers") { zip(answered, before).contains { $0.count >= $1 + count } }
            process.end()
            return answered.map { seen in (seen.max() ?? 0, (1...max(seen.max() ?? 1, 1)).filter { !seen.contains($0) }) }
        }
    }

    struct Talk {
        let process: Background
        func said(_ index: Int) -> [Substring] { process.output.split(separator: "\n").filter { $0.hasPrefix("\(index) ") } }
        /// Until each of so many has said something twice more: what has befallen it shows.
        func wait(_ count: Int) throws {
            let before = (0..<count).map { said($0).count }
            try eventually("two rounds", within: 40) { (0..<count).allSatisfy { said($0).count >= before[$0] + 2 } }
        }
        func isSilent(_ index: Int) -> Bool { said(index).count > 2 && said(index).suffix(2).allSatisfy { $0.hasSuffix("silent") } }
        func wasEverSilent(_ index: Int) -> Bool { said(index).contains { !$0.hasSuffix("ok") } }
    }
}
