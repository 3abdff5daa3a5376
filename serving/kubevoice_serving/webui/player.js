/** Speaks a request: plays, draws and keeps its take, and shows its reading. One take at a time. */

import { call, json, stream } from "./api.js";
import { $, element } from "./form.js";
import { splitText } from "./parts.js";
import { Reading } from "./reading.js";
import { t } from "./strings.js";
import { Take } from "./take.js";
import { draw } from "./waveform.js";

const JOINABLE = ["wav", "mp3", "aac", "pcm"]; // formats whose files make one file, one after the other

export class Player {
  /** `showStatus` gets a message, `onWord` a word and its pinyin when it is clicked. */
  constructor(showStatus, onWord) {
    this.showStatus = showStatus;
    this.reading = new Reading($("reading"), onWord);
    this.take = null;
    this.bodies = []; // the requests of what is shown, one for each part
    this.explained = []; // for each part a promise of what decided its reading
    this.readings = Promise.resolve(); // settles when the readings of the parts so far are shown
    this.controller = new AbortController(); // for the requests of the current take
    this.frame = 0;
    $("audio").addEventListener("play", () => {
      this.take.close(); // so that it is not played twice
      this.watch();
    });
  }

  /** Stop the current take; the samples received so far are kept. */
  stop() {
    this.controller.abort();
    this.controller = new AbortController();
    this.take?.close();
    $("audio").pause();
    this.reading.follow(null);
    this.showPlaying(false);
  }

  /** Hide the take and the reading that are shown, and begin with others. */
  begin(body) {
    this.stop();
    for (const id of ["result", "words", "notices"]) $(id).hidden = true;
    this.reading.clear();
    $("notices").replaceChildren();
    $("decisions").replaceChildren();
    $("download").disabled = true;
    this.take = null;
    this.explained = [];
    this.readings = Promise.resolve();
    this.bodies = (body.ssml ? [body.input] : splitText(body.input)).map((input) => ({ ...body, input }));
    for (const option of $("format").options) option.disabled = this.bodies.length > 1 && !JOINABLE.includes(option.value);
    if (this.bodies.length > 1 && !JOINABLE.includes($("format").value)) $("format").value = "wav";
    return this.controller.signal;
  }

  /** Speak a request; true if all of it was received. An error is thrown only if nothing was received. */
  async speak(body) {
    const signal = this.begin(body);
    const { bodies } = this;
    const began = performance.now();
    this.showPlaying(true);
    try {
      for (const [i, part] of bodies.entries()) {
        this.showStatus(bodies.length > 1 ? t("part", i + 1, bodies.length) : t("speaking"));
        await stream(part, signal, (headers) => this.receive(headers, part, signal), (samples) => {
          if (!this.take.length) $("first").textContent = `${Math.round(performance.now() - began)} ms`;
          if (bodies.length === 1) this.showStatus("");
          this.take.add(samples);
        });
      }
      if (this.bodies !== bodies) return false;
      this.showStatus("");
      this.finish();
      $("download").disabled = false;
      return true;
    } catch (error) {
      if (this.bodies !== bodies) return false; // another take has begun
      if (!this.take?.length) {
        this.showPlaying(false);
        throw error;
      }
      if (error.name !== "AbortError") this.showStatus(t("withDetails", t("broken"), error.message), true);
      this.finish();
      return false;
    }
  }

  receive(headers, part, signal) {
    this.take ??= new Take(Number(headers.get("X-Sample-Rate")));
    $("result").hidden = false;
    $("seconds").textContent = "…";
    $("revision").textContent = headers.get("X-Revision").replace("sha256:", "").slice(0, 12);
    this.addNotices(JSON.parse(headers.get("X-Notices") ?? "[]"));
    const from = this.take.seconds;
    this.readings = this.readings.then(() => this.showReading(part, from, signal)).catch((error) => {
      if (error.name !== "AbortError") console.warn(error); // playback goes on
    });
    this.watch();
  }

  /** List the notices of a part below those of the parts before; what is already listed is not repeated. */
  addNotices(notices) {
    const list = $("notices");
    for (const notice of notices) {
      const message = notice.message ?? JSON.stringify(notice);
      if (![...list.children].some((each) => each.textContent === message)) list.append(element("li", message));
    }
    list.hidden = !list.children.length;
  }

  finish() {
    const { take } = this;
    take.complete = true;
    take.expected = take.seconds;
    $("seconds").textContent = `${take.seconds.toFixed(2)} s`;
    URL.revokeObjectURL($("audio").src);
    $("audio").src = URL.createObjectURL(take.wav());
  }

  /** Show how a request is read, without sound. */
  async preview(body) {
    const signal = this.begin(body);
    for (const part of this.bodies) await this.showReading(part, 0, signal);
  }

  /** Show the words of a part that begins at `from` seconds of the take, with their times. */
  async showReading(part, from, signal) {
    const timing = await json("v1/audio/subtitles", part, signal);
    if (signal.aborted) return;
    if (this.take) this.take.expected = from + timing.duration;
    $("words").hidden = false;
    this.reading.append(timing, from);
    await this.showExplanation();
  }

  /** Show which rule, table or model decided each piece of the text, when somebody looks. */
  async showExplanation() {
    if (!$("explanation").open) return;
    const { bodies, explained } = this;
    const rows = [];
    for (const [i, { input: text, voice, ssml, lexicon }] of bodies.entries()) {
      explained[i] ??= json("v1/text/analyze", { text, voice, ssml, lexicon });
      const { decisions } = await explained[i].catch((error) => {
        delete explained[i]; // asked again when somebody looks again
        throw error;
      });
      if (this.bodies !== bodies) return; // another take has begun
      for (const each of decisions) {
        const row = document.createElement("tr");
        row.append(element("td", each.written), element("td", each.reading), element("td", each.by, { lang: "en" }));
        rows.push(row);
      }
    }
    $("decisions").replaceChildren(...rows);
  }

  /** Save what is shown as one file. */
  async download() {
    const format = $("format").value;
    const isJoined = this.bodies.length > 1 && format === "wav";
    const files = isJoined ? [this.take.wav()] : await this.fetchFiles(format);
    const link = element("a", "", { download: `kubevoice.${format}` });
    link.href = URL.createObjectURL(new Blob(files));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  async fetchFiles(format) {
    const files = [];
    for (const part of this.bodies) {
      const response = await call("v1/audio/speech", { ...part, response_format: format, stream: false });
      files.push(await response.blob());
    }
    return files;
  }

  /** Draw and mark words from the next frame on; only one such loop runs. */
  watch() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.follow());
  }

  follow() {
    const { take } = this;
    if (!take) return;
    const isReplayed = !$("audio").paused;
    const isLive = take.playing;
    const isPaused = take.context.state === "suspended";
    const position = isReplayed ? $("audio").currentTime : take.position;
    draw($("waveform"), take, position);
    this.reading.follow(isLive || isReplayed ? position : null);
    this.showPlaying(isLive || isPaused);
    if (isLive || isReplayed || isPaused) this.watch();
  }

  showPlaying(isPlaying) {
    $("stop").hidden = !isPlaying;
    $("pause").hidden = !isPlaying || !this.take || this.take.context.state === "closed";
    $("pause").firstElementChild.textContent = t(this.take?.context.state === "suspended" ? "resume" : "pause");
  }

  async pause() {
    await this.take.pause();
    this.showPlaying(true);
  }

  /** Show what is on the page again, in another language or other colours. */
  refresh() {
    if (!this.take) return;
    this.showPlaying(this.take.playing);
    draw($("waveform"), this.take, this.take.position);
  }
}
