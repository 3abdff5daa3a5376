/** One take: samples that are played on arrival and stored for replay. */

const LEAD_SECONDS = 0.08; // from the first chunk's arrival to its playback; scheduling takes that long

export class Take {
  constructor(rate) {
    this.rate = rate;
    this.chunks = [];
    this.length = 0;
    this.complete = false;
    this.context = new AudioContext({ sampleRate: rate });
    this.runs = []; // {at: context time, from: seconds of the take, until}; between runs are gaps
    this.next = 0;
  }

  get seconds() {
    return this.length / this.rate;
  }

  add(samples) {
    const buffer = this.context.createBuffer(1, samples.length, this.rate);
    buffer.copyToChannel(samples, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    const at = Math.max(this.next, this.context.currentTime + (this.next ? 0 : LEAD_SECONDS));
    source.start(at);
    this.runs.push({ at, from: this.seconds, until: this.seconds + buffer.duration });
    this.next = at + buffer.duration;
    this.chunks.push(samples);
    this.length += samples.length;
  }

  /** Seconds of the take that have been played. */
  get position() {
    const now = this.context.currentTime;
    const run = this.runs.findLast((each) => each.at <= now);
    return run ? Math.min(run.from + now - run.at, run.until) : 0;
  }

  get playing() {
    return this.context.state === "running" && (!this.complete || this.context.currentTime < this.next);
  }

  pause() {
    return this.context.state === "running" ? this.context.suspend() : this.context.resume();
  }

  /** Release the sound card; the samples are kept. */
  close() {
    if (this.context.state !== "closed") this.context.close();
  }

  /** The take as a WAV file, for the audio element. */
  wav() {
    const bytes = new DataView(new ArrayBuffer(44 + 2 * this.length));
    const write = (at, text) => [...text].forEach((char, i) => bytes.setUint8(at + i, char.charCodeAt(0)));
    write(0, "RIFF");
    bytes.setUint32(4, 36 + 2 * this.length, true);
    write(8, "WAVEfmt ");
    [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, this.rate, 4], [28, 2 * this.rate, 4], [32, 2, 2], [34, 16, 2]].forEach(
      ([at, value, size]) => (size === 4 ? bytes.setUint32(at, value, true) : bytes.setUint16(at, value, true)),
    );
    write(36, "data");
    bytes.setUint32(40, 2 * this.length, true);
    let at = 44;
    for (const chunk of this.chunks) {
      for (const sample of chunk) {
        bytes.setInt16(at, Math.max(-1, Math.min(1, sample)) * 32767, true);
        at += 2;
      }
    }
    return new Blob([bytes], { type: "audio/wav" });
  }
}
