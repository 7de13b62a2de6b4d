import CBench
import CPlatform
import Glibc

/// Seconds that the calling thread has had a core: they do not go on while another program has it.
func threadSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Windows of TSC cycles, and the processor's own counters around all of them where it has any.
struct Stopwatch {
    private(set) var samples: [Double] = []
    private(set) var packets = 0
    private var counters = vb_counter_group()
    private var before = vb_counters()
    private var lap: UInt64 = 0
    private var isInterrupted = false

    init() { _ = vb_counters_open(&counters) }

    mutating func begin() {
        samples = []
        packets = 0
        _ = vb_counters_read(&counters, &before)
        lap = vr_tsc()
    }

    /// Begins a window anew after something that is not measured. The processor's counters go on: `finish` then leaves them out.
    mutating func pause() {
        isInterrupted = true
        lap = vr_tsc()
    }

    /// Ends a window of `count` packets and begins the next.
    mutating func mark(_ count: Int) {
        let now = vr_tsc()
        if count > 0 { samples.append(Double(now &- lap) / Double(count)) }
        packets += count
        lap = vr_tsc()
    }

    /// Fills in what the windows say; ends the use of the counters.
    mutating func finish(_ figure: inout Figure, floor: Double?) {
        var after = vb_counters()
        if vb_counters_read(&counters, &after) == 0, packets > 0, !isInterrupted {
            figure.instructions = Double(after.instructions &- before.instructions) / Double(packets)
            figure.coreCycles = Double(after.cycles &- before.cycles) / Double(packets)
        }
        vb_counters_close(&counters)
        let sorted = samples.sorted()
        guard let last = sorted.last else { return }
        func percentile(_ share: Double) -> Double { sorted.dropFirst(Int(Double(sorted.count) * share)).first ?? last }
        figure.packets = packets
        figure.cycles = percentile(0.1)
        figure.median = percentile(0.5)
        figure.spread = (percentile(0.9) - percentile(0.1)) / max(figure.median, .leastNonzeroMagnitude)
        figure.nanoseconds = figure.cycles / Double(vr_tsc_hz()) * 1e9
        figure.ratioToFloor = figure.cycles / max(floor ?? figure.cycles, .leastNonzeroMagnitude)
        figure.residentBytes = vb_resident()
    }
}
